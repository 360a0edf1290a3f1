import pytest
from bs4 import BeautifulSoup

from convolve.see.report.segmentation_ladder import (
    COLUMNS,
    MapExample,
    MapRung,
    SegmentationLadder,
    headline,
    table_rows,
    write_segmentation_ladder,
)
from see.report.segmentation_samples import CLASSES, COLOURS, example
from see.report.test_page import HOSTILE, WellFormed

NAMES = ("patch", "dense", "unet")


def rung(name, mean_iou=0.5, seconds_per_image=0.1, **changes):
    content = {
        "rung": name,
        "about": f"what {name} is",
        "mean_iou": mean_iou,
        "mean_iou_ci95": [mean_iou - 0.1, mean_iou + 0.1],
        "pixel_accuracy": 0.8,
        "seconds_per_image": seconds_per_image,
        "seconds": 90.0,
        "parameters": 1_234_567,
        "peak_bytes": 3 * 2**29,
        "report": f"{name}/report.html",
    }
    return MapRung(**content | changes)


def ladder(rungs=None, **changes):
    examples = []
    for seed in range(2):
        one = example(seed)
        examples.append(
            MapExample(name=one.name, image=one.image, truth=one.truth, predicted=dict.fromkeys(NAMES, one.predicted))
        )
    content = {
        "data": "fields",
        "network": "resnet18",
        "classes": CLASSES,
        "colours": COLOURS,
        "judged": "test",
        "images": 12,
        "rungs": rungs or [rung("patch", 0.4, 60.0), rung("dense", 0.4, 0.05), rung("unet", 0.6, 0.2)],
        "examples": examples,
    }
    return SegmentationLadder(**content | changes)


def written(tmp_path, one):
    path = tmp_path / "ladder.html"
    write_segmentation_ladder(path, one)
    return path.read_text(encoding="utf-8")


def test_the_headline_weighs_quality_against_time():
    assert headline(ladder()) == "unet is best: mean IoU 60.0 %, 200 ms an image; dense is quickest: 40.0 %, 50 ms"
    both = [rung("patch", 0.4, 2.0), rung("dense", 0.5, 0.05)]
    assert headline(ladder(both)) == "dense is best and quickest: mean IoU 50.0 %, 50 ms an image"
    assert headline(ladder([rung("unet")])) == "unet: mean IoU 50.0 %, 100 ms an image"


def test_a_row_has_every_figure_of_its_rung():
    rows = table_rows(
        ladder([rung("unet"), rung("patch", mean_iou_ci95=None, peak_bytes=None, seconds_per_image=90.0)])
    )
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert rows[0] == [
        "unet",
        "50.0 %",
        "40.0\N{EN DASH}60.0 %",
        "80.0 %",
        "100 ms",
        "1 min 30 s",
        "1,234,567",
        "1,536 MiB",
    ]
    assert rows[1][2:] == ["", "80.0 %", "1 min 30 s", "1 min 30 s", "1,234,567", "not measured"]


def test_the_page_is_well_formed_and_links_to_nothing_but_the_reports(tmp_path):
    text = written(tmp_path, ladder(left_out=[("fcn-8s", "no such weights")], differences=[("unet is better", True)]))
    parser = WellFormed()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    outward = [link for link in parser.requests if not link.startswith(("#", "data:image/"))]
    assert outward == [f"{name}/report.html" for name in NAMES]
    page = BeautifulSoup(text, "html.parser")
    assert "fcn-8s was left out: no such weights." in page.find(id="left-out").text
    assert page.find("b", string="unet is better")
    axis = [label.text for label in page.svg.find_all("text")]
    assert {"0.1", "1", "10"} <= set(axis)
    assert not any("$" in label for label in axis)


def test_maps_stand_side_by_side_in_the_order_of_the_rungs(tmp_path):
    page = BeautifulSoup(written(tmp_path, ladder()), "html.parser")
    images = page.find(id="maps").parent.find_all("img")
    assert len(images) == 2 * (2 + len(NAMES))
    assert [image["alt"].rpartition(": ")[2] for image in images[:5]] == ["image", "truth", *NAMES]


def test_a_map_that_is_missing_is_not_passed_over_in_silence(tmp_path):
    with pytest.raises(KeyError, match="fcn-8s"):
        written(tmp_path, ladder([rung("fcn-8s")]))
    assert list(tmp_path.iterdir()) == []


def test_hostile_names_are_only_text(tmp_path):
    text = written(tmp_path, ladder([rung(HOSTILE, about=HOSTILE)], data=HOSTILE, examples=()))
    assert "<script" not in text
    assert HOSTILE in BeautifulSoup(text, "html.parser").h1.text
