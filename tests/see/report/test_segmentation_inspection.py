import numpy as np
import pytest
from bs4 import BeautifulSoup

from convolve.data.dataset import Dataset, Mask, MaskCoding, Problem, Sample
from convolve.data.masks.inspection import inspect_masks
from convolve.see.mask_summary import class_table, lines
from convolve.see.report.segmentation_inspection import write_mask_inspection
from see.report.test_page import HOSTILE, WellFormed

COLOURS = ((230, 159, 0), (0, 158, 115))


def dataset(count=12, *, kind="index"):
    generator = np.random.default_rng(0)
    samples = []
    for row in range(count):
        mask = np.zeros((48, 40), np.uint8)
        mask[: 4 + row] = 1
        mask[-1] = 9
        source = mask if kind == "index" else np.stack([mask * 20, mask, mask], axis=2)
        image = generator.integers(0, 256, (48, 40, 3), dtype=np.uint8)
        split = ("train", "validation", "test")[row % 3]
        samples.append(Sample(f"{HOSTILE}{row}", image, Mask(source), split=split, group=f"tile {row % 6}"))
    values = ((0,), (1,)) if kind == "index" else (((0, 0, 0),), ((20, 1, 1),))
    coding = MaskCoding(kind, values, (), COLOURS)
    return Dataset("fields", "arrays", (HOSTILE, "tree"), tuple(samples), (Problem("a.png", "no mask"),), coding=coding)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


def written(tmp_path, data):
    path = tmp_path / "look.html"
    write_mask_inspection(path, inspect_masks(data), data)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["index", "colour"])
def test_the_page_shows_classes_values_problems_and_pairs_of_pictures(kind, tmp_path):
    text = written(tmp_path, dataset(kind=kind))
    parser = WellFormed()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert [link for link in parser.requests if not link.startswith(("#", "data:image/"))] == []
    assert "<script" not in text
    page = BeautifulSoup(text, "html.parser")
    tree = next(row for row in page.find_all("tr") if row.th and row.th.text.strip() == "tree")
    share = 100 * np.mean([4 + row for row in range(12)]) / 47
    assert f"{share:.2f} %" in [cell.text for cell in tree.find_all("td")]
    classes = page.find(id="classes").parent
    assert f'masks.coding = "{kind}"' in classes.pre.text
    assert ("9" if kind == "index" else "#b40909") in classes.text.partition("Values that no class has")[2]
    assert "no mask" in page.find(id="problems").parent.text
    images = page.find(id="images").parent
    assert len(images.find_all("img")) == 18
    captions = [caption.text.partition(":")[0] for caption in images.find_all("figcaption")]
    assert {captions.count(split) for split in ("train", "validation", "test")} <= {2, 3, 4}
    assert "ignored" in page.find(id="advice").text
    assert "no label" not in text


def test_what_cannot_be_decoded_is_a_problem_and_no_picture(tmp_path):
    data = dataset(3)
    (tmp_path / "broken.png").write_bytes(b"no image")
    first, *others = data.samples
    broken = Sample("broken.png", tmp_path / "broken.png", first.target, split="train")
    data = Dataset(data.name, data.form, data.classes, (broken, *others), coding=data.coding)
    page = BeautifulSoup(written(tmp_path, data), "html.parser")
    assert "broken.png" in page.find(id="problems").parent.text
    assert len(page.find(id="images").parent.find_all("img")) == 4


def test_a_terminal_gets_the_same_figures():
    found = inspect_masks(dataset())
    columns, rows = class_table(found)
    assert columns[:6] == ["class", "value", "train", "validation", "test", "all"]
    assert all(len(row) == len(columns) for row in rows)
    tree = dict(zip(columns, rows[1], strict=True))
    assert tree["all"] == f"{100 * np.mean([4 + row for row in range(12)]) / 47:.2f} %"
    assert tree["images"] == "12"
    words = list(lines(found))
    assert words[0] == f"ignored: {100 / 48:.2f} % of all pixels"
    assert words[1] == f"values without a class, in 12 masks: 9 ({100 / 48:.2f} %)"
    assert '  masks.coding = "index"' in words
