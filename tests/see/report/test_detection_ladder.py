"""The page of the ladder of detectors."""

import pytest
from bs4 import BeautifulSoup

from convolve.see.report.detection_ladder import (
    COLUMNS,
    BoxRung,
    DetectionLadder,
    LadderExample,
    headline,
    steps,
    table_rows,
    times,
    write_detection_ladder,
)
from see.report.detection_samples import picture
from see.report.test_page import HOSTILE, WellFormed

NAMES = ("rcnn", "fast", "faster", "onestage")


def rung(name, map50=0.8, proposal_seconds=2.3, network_seconds=0.4, **changes):
    content = {
        "rung": name,
        "about": f"what {name} is",
        "map50": map50,
        "map50_ci95": [map50 - 0.05, map50 + 0.03],
        "map": map50 - 0.3,
        "proposal_seconds": proposal_seconds,
        "network_seconds": network_seconds,
        "proposal_recall": 0.96 if proposal_seconds else None,
        "seconds": 900.0,
        "parameters": 12_345_678,
        "report": f"{name}/report.html",
    }
    return BoxRung(**content | changes)


RUNGS = (
    rung("rcnn", 0.84, 2.31, 21.42),
    rung("fast", 0.87, 2.31, 0.42),
    rung("faster", 0.91, 0.031, 0.21),
    rung("onestage", 0.9, 0, 0.19),
)


def ladder(rungs=RUNGS, **changes):
    examples = []
    for seed in range(2):
        shown = picture(seed)
        marks = {one.rung: shown.marks[place:] for place, one in enumerate(RUNGS)}
        examples.append(LadderExample(name=shown.name, image=shown.image, truth=shown.marks[:5], marks=marks))
    content = {
        "data": "bccd",
        "network": "resnet18",
        "judged": "test",
        "images": 72,
        "rungs": rungs,
        "examples": examples,
    }
    return DetectionLadder(**content | changes)


def written(tmp_path, one):
    path = tmp_path / "ladder.html"
    write_detection_ladder(path, one)
    return path.read_text(encoding="utf-8")


def test_the_headline_weighs_quality_against_time():
    assert headline(ladder()) == (
        "faster is best: mAP@.5 91.0 %, 241 ms an image; onestage is quickest: 90.0 %, 190 ms"
    )
    assert headline(ladder(RUNGS[:3])) == "faster is best and quickest: mAP@.5 91.0 %, 241 ms an image"
    assert headline(ladder(RUNGS[:1])) == "rcnn: mAP@.5 84.0 %, 23.7 s an image"


def test_a_row_has_every_figure_of_its_rung():
    rows = table_rows(ladder([RUNGS[1], rung("onestage", 0.9, 0, 0.19, map50_ci95=None)]))
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert rows[0] == [
        "fast",
        "87.0 %",
        "82.0\N{EN DASH}90.0 %",
        "57.0 %",
        "2.3 s",
        "420 ms",
        "96.0 %",
        "15 min 0 s",
        "12,345,678",
    ]
    assert rows[1][2:7] == ["", "60.0 %", "none", "190 ms", ""]


def test_ratios_between_neighbours_are_spelled_out():
    first, second, third = steps(RUNGS)
    # 21.42 s / 0.42 s, 2.31 s / 0.031 s.
    assert first == (
        "rcnn to fast: proposals are as quick; the network is 51 times quicker (21.4 s, then 420 ms); "
        "mAP@.5 +3.0 points"
    )
    assert second.startswith("fast to faster: proposals are 75 times quicker; the network is 2.0 times quicker")
    assert "proposals are saved (31 ms an image)" in third
    assert third.endswith("mAP@.5 -1.0 points")
    assert "proposals take 31 ms" in steps([RUNGS[3], RUNGS[2]])[0]
    assert "no proposals" in steps([RUNGS[3], RUNGS[3]])[0]
    assert steps(RUNGS[:1]) == []
    assert times(1, 51.4) == "51 times slower"


@pytest.mark.parametrize("rungs", [RUNGS, RUNGS[:1], RUNGS[3:]], ids=["all", "one", "no proposals"])
def test_the_page_is_well_formed_and_links_to_nothing_but_the_reports(rungs, tmp_path):
    text = written(tmp_path, ladder(rungs, left_out=[("svm", "no time")], differences=[("faster is better", True)]))
    parser = WellFormed()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    outward = [link for link in parser.requests if not link.startswith(("#", "data:image/"))]
    assert outward == [one.report for one in rungs]
    page = BeautifulSoup(text, "html.parser")
    assert "svm was left out: no time." in page.find(id="left-out").text
    assert page.find("b", string="faster is better")
    axis = [label.text.strip() for label in page.svg.find_all("text")]
    assert axis.count("network") == 1
    assert axis.count("proposals") == any(one.proposal_seconds for one in rungs)
    assert not any("$" in label for label in axis)


def test_every_time_is_written_beside_its_bar(tmp_path):
    page = BeautifulSoup(written(tmp_path, ladder()), "html.parser")
    words = [text.text.strip() for text in page.svg.find_all("text")]
    assert {"21.4 s", "420 ms", "210 ms", "190 ms", "31 ms", "none"} <= set(words)
    assert words.count("2.3 s") == 2


def test_boxes_stand_side_by_side_in_the_order_of_the_rungs(tmp_path):
    page = BeautifulSoup(written(tmp_path, ladder()), "html.parser")
    rows = page.find_all(class_="side-by-side")
    assert [[caption.text for caption in row.find_all("figcaption")] for row in rows] == [["annotated", *NAMES]] * 2
    # The samples leave out one box more with each rung.
    assert [len(svg.find_all("g")) for svg in rows[0].find_all("svg")] == [5, 12, 11, 10, 9]


def test_boxes_that_are_missing_are_not_passed_over_in_silence(tmp_path):
    with pytest.raises(KeyError, match="yolo"):
        written(tmp_path, ladder([rung("yolo")]))
    assert list(tmp_path.iterdir()) == []


def test_hostile_names_are_only_text(tmp_path):
    text = written(tmp_path, ladder([rung(HOSTILE, about=HOSTILE)], data=HOSTILE, examples=()))
    assert "<script" not in text
    assert HOSTILE in BeautifulSoup(text, "html.parser").h1.text
