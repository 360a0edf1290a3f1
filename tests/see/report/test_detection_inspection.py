"""The page of `convolve look` on boxes: counts, sizes, places, pictures and problems."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convolve.data.boxes.inspection import inspect_boxes
from convolve.data.content import content_hashes
from convolve.data.dataset import Box, Boxes, Dataset, Problem, Sample
from convolve.data.readers.voc_boxes import VocBoxes
from convolve.see.report.detection_box_charts import counts_histogram, sizes_histogram
from convolve.see.report.detection_inspection import places_of, write_detection_inspection
from see.report.test_page import HOSTILE, WellFormed

DATA = os.environ.get("CONVOLVE_TEST_DATA")
HW = (96, 128)


def dataset(count=12, classes=(HOSTILE, "ring"), *, boxes=3):
    generator = np.random.default_rng(0)
    samples = []
    for row in range(count):
        objects = []
        for place in range(boxes if row else 0):
            x, y = float(generator.uniform(0, 90)), float(generator.uniform(0, 60))
            kind = "difficult" if (row, place) == (1, 0) else "object"
            objects.append(Box(place % len(classes), (x, y, x + 20 + 3 * place, y + 24), kind))
        image = generator.integers(0, 256, (*HW, 3), dtype=np.uint8)
        split = ("train", "validation", "test")[row % 3]
        samples.append(Sample(f"{HOSTILE}{row}", image, Boxes(HW, tuple(objects)), split=split))
    return Dataset("cells", "arrays", tuple(classes), tuple(samples), (Problem("a.xml, line 7", "no area"),))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


def written(tmp_path, data):
    path = tmp_path / "look.html"
    write_detection_inspection(path, inspect_boxes(data, content_hashes(data)), data)
    return path.read_text(encoding="utf-8")


SETS = {
    "one class": lambda: dataset(6, classes=("cell",)),
    "many classes": lambda: dataset(6, classes=tuple(f"class {n}" for n in range(9))),
    "no boxes": lambda: dataset(3, boxes=0),
    "a class without boxes": lambda: dataset(6, classes=("cell", "ring", "rod", "spiral")),
}


def check_whole(text):
    parser = WellFormed()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert [link for link in parser.requests if not link.startswith(("#", "data:image/"))] == []
    assert "<script" not in text
    assert re.findall(r"url\((?!#)", text) == []


@pytest.mark.parametrize("name", SETS)
def test_a_page_is_well_formed_and_asks_for_nothing(name, tmp_path):
    check_whole(written(tmp_path, SETS[name]()))


def test_the_page_shows_counts_charts_problems_and_pictures(tmp_path):
    text = written(tmp_path, dataset())
    check_whole(text)
    page = BeautifulSoup(text, "html.parser")
    rows = {row.th.text.strip(): [cell.text for cell in row.find_all("td")] for row in page.table.tbody.find_all("tr")}
    # Eleven images with three boxes each, of two classes in turn; the first image has none and is for training.
    assert rows["ring"] == ["3", "4", "4", "11", "", "11"]
    assert rows[HOSTILE] == ["6", "8", "8", "22", "", "11"]
    assert rows["images"][:4] == ["4", "4", "4", "12"]
    assert "1 difficult one" in page.find(id="classes").parent.text
    boxes = page.find(id="boxes").parent
    assert len(boxes.find_all("svg")) == 4
    assert "1 image has none." in boxes.text
    assert "detect.anchor_sizes = [" in boxes.pre.text
    assert "no area" in page.find(id="problems").parent.text
    photos = page.find(id="images").parent
    svgs = photos.find_all("svg", class_="boxes")
    assert 5 <= len(svgs) <= 12
    assert "without boxes" in photos.text
    assert any("difficult" in title.text for title in photos.find_all("title"))
    strokes = {rect["stroke"] for rect in photos.find_all("rect")} - {"#000000"}
    assert len(strokes) == 2


def test_anchors_are_marked_at_their_logarithms():
    sizes = {"cell": np.array([12.0, 30, 31, 90]), "ring": np.array([45.0])}
    chart = BeautifulSoup(str(sizes_histogram(sizes, [10, 20, 80], ["#112233", "#445566"])), "html.parser").svg
    # Dashed lines from bottom to top; the legend's is not clipped.
    dashed = chart.find_all("path", style=re.compile("stroke-dasharray"))
    left, middle, right = (float(re.match(r"M ([\d.]+)", one["d"])[1]) for one in dashed if one.get("clip-path"))
    assert (right - middle) / (middle - left) == pytest.approx(2, rel=0.001)
    assert {"10", "20", "50", "cell", "ring", "anchors"} <= {text.text for text in chart.find_all("text")}


def test_pictures_show_boxes_where_they_are_when_files_are_decoded_smaller(tmp_path):
    image = np.zeros((1600, 2400, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "large.jpg")
    target = Boxes((1600, 2400), (Box(0, (600, 400, 1200, 800)),))
    data = Dataset("cells", "arrays", ("cell",), (Sample("large.jpg", tmp_path / "large.jpg", target),))
    page = BeautifulSoup(written(tmp_path, data), "html.parser")
    svg = page.find("svg", class_="boxes")
    width, height = map(float, svg["viewbox"].split()[2:])
    assert width < 2400
    rect = svg.rect
    shares = [
        float(rect[key]) / length
        for key, length in zip(("x", "y", "width", "height"), (width, height) * 2, strict=True)
    ]
    assert shares == pytest.approx([0.25, 0.25, 0.25, 0.25], abs=0.001)


def test_what_cannot_be_decoded_is_a_problem_and_no_picture(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    data = dataset(4)
    broken = replace(data.samples[1], name="broken.png", image=tmp_path / "broken.png")
    data = replace(data, samples=(data.samples[0], broken, *data.samples[2:]))
    page = BeautifulSoup(written(tmp_path, data), "html.parser")
    assert "broken.png" in page.find(id="problems").parent.text
    photos = page.find(id="images").parent
    assert len(photos.find_all("svg", class_="boxes")) == 3
    assert "broken.png" not in photos.text


def test_equal_images_and_double_boxes_are_listed(tmp_path):
    data = dataset(6, classes=("cell", "ring"))
    first, second, third, *rest = data.samples
    twin = replace(third, name="twin", target=Boxes(HW, third.target.objects[:1]))
    double = replace(second, name="double", target=Boxes(HW, second.target.objects * 2))
    data = replace(data, samples=(first, double, third, twin, *rest))
    words = BeautifulSoup(written(tmp_path, data), "html.parser").find(id="boxes").parent.text
    assert f"{third.name} = twin" in words
    assert "In 1 image: double." in words


def places(*corners, hw=(10, 20), parts=10):
    objects = tuple(Box(0, one) for one in corners)
    return places_of([Sample("a", np.zeros((*hw, 3), np.uint8), Boxes(hw, objects))], parts=parts)


def test_places_are_shares_of_boxes_over_each_part():
    assert np.array_equal(places((0, 0, 20, 10)), np.ones((10, 10)))
    left = places((0, 0, 10, 10), (0, 0, 20, 10))
    assert np.array_equal(left, np.repeat([[1.0] * 5 + [0.5] * 5], 10, axis=0))
    assert not places().any()


@given(st.floats(0, 19.9), st.floats(0, 9.9), st.floats(0.001, 20), st.floats(0.001, 10))
def test_every_box_is_on_the_map_and_only_where_it_is(x, y, width, height):
    corners = (x, y, min(20.0, x + width), min(10.0, y + height))
    covered = places(corners)
    assert covered.max() == 1
    rows, columns = np.nonzero(covered)
    # A part is 2 pixels wide and 1 high; none is more than itself away from the box.
    assert columns.min() * 2 >= corners[0] - 2
    assert (columns.max() + 1) * 2 <= corners[2] + 2
    assert rows.min() >= corners[1] - 1
    assert rows.max() + 1 <= corners[3] + 1
    whole = (columns.max() - columns.min() + 1) * 2
    assert abs(whole - (corners[2] - corners[0])) <= 2


def test_an_image_with_two_thousand_boxes_makes_no_larger_chart():
    few, many = counts_histogram(np.array([1, 5])), counts_histogram(np.array([1, 2000]))
    assert len(many) < 10 * len(few)


@pytest.mark.skipif(DATA is None, reason="CONVOLVE_TEST_DATA is not set")
def test_bccd_is_shown_with_its_own_counts(tmp_path):
    data = VocBoxes().read(Path(DATA) / "bccd")
    # Hashing and decoding all images takes longer than this test may.
    data = replace(data, samples=data.samples[:12])
    text = written(tmp_path, data)
    page = BeautifulSoup(text, "html.parser")
    total = sum(len(sample.target.objects) for sample in data.samples)
    assert f"{total:,} in all" in page.find("caption").text
    assert len(text) < 2_000_000
