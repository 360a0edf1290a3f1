"""The page of a run on boxes: whole, safe, and true to its figures."""

import re
from functools import cache

import numpy as np
import pytest
from bs4 import BeautifulSoup

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Box, Boxes
from convolve.see.report.detection_charts import counts_chart
from convolve.see.report.detection_page import write_detection_report
from convolve.see.report.detection_words import caveats, count_agreement
from convolve.tasks.detect.results import results
from see.report.detection_samples import CLASSES, example, folds, results_of, sample
from see.report.test_page import HOSTILE, WellFormed

COARSE = {"n": 0, "loss": 0.31, "map50": 0.71, "map": 0.41}


@cache
def told(images=5, classes=CLASSES, seed=0, objects=6):
    """What the task reports of detections that are right, off, doubled, wrong and missing, in turn."""
    generator = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(images):
        boxes, corners, labels = [], [], []
        for place in range(objects):
            x, y, side = generator.uniform((0, 0, 10), (300, 300, 100)).tolist()
            label = int(generator.integers(2))
            boxes.append(Box(label, (x, y, x + side, y + side)))
            shift = (0.02, 0.6, 3.0)[place % 3] * side
            corners.append((x + shift, y, x + shift + side, y + side))
            labels.append((label + (place == 4)) % 3)
        probabilities = np.sort(generator.uniform(0.1, 1, len(corners)))[::-1]
        truths.append(Boxes((480, 640), tuple(boxes)))
        detections.append(
            Detections(np.array(corners, np.float64).reshape(-1, 4), np.array(labels, np.int64), probabilities)
        )
    regions = [np.array([one.corners for one in truth.objects[1:]]).reshape(-1, 4) for truth in truths]
    return results(
        truths, detections, classes, names=[f"{n}.png" for n in range(images)], proposals=regions, threshold=0.3
    )


NOTHING = {"worst": (), "random": (), "false_alarms": (), "missed": ()}
REPORTS = {
    "folds, no proposals": lambda: sample(
        results=results_of(proposals=None, proposal_recall=None), members=folds(), split="out-of-fold"
    ),
    "one image": lambda: sample(results=told(1), history=()),
    "no objects": lambda: sample(results=told(2, objects=0), members=folds()[:1], **NOTHING),
    "many classes": lambda: sample(tuple(f"class {number}" for number in range(60)), **NOTHING),
    "nothing held out": lambda: sample(results=COARSE, split="validation", chosen_on_split=True, **NOTHING),
    "bare": lambda: sample(history=(), worst=(), random=(), missed=(), reasons=(), timings={}, environment={}),
}


def written(tmp_path, report):
    path = tmp_path / "report.html"
    write_detection_report(path, report)
    return path.read_text(encoding="utf-8")


def read(tmp_path, report):
    return BeautifulSoup(written(tmp_path, report), "html.parser")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return written(tmp_path_factory.mktemp("page"), sample())


@pytest.fixture
def page(text):
    return BeautifulSoup(text, "html.parser")


@pytest.mark.parametrize("name", ["one split", *REPORTS])
def test_a_page_is_well_formed_and_asks_for_nothing(name, text, tmp_path):
    page = written(tmp_path, REPORTS[name]()) if name in REPORTS else text
    parser = WellFormed()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    assert [r for r in parser.requests if not r.startswith(("#", "data:image/"))] == []
    assert re.findall(r"url\((?!#)", page) == []
    assert "<script" not in page
    soup = BeautifulSoup(page, "html.parser")
    assert all(soup.find(id=link["href"][1:]) for link in soup.nav.find_all("a"))
    clips = [path["id"] for path in soup.find_all("clippath")]
    assert len(clips) == len(set(clips))
    assert not re.search(r"\bnan\b|None", soup.main.text)


def test_the_headline_has_the_figure_and_words_for_who_never_heard_of_it(page):
    words = page.find(class_="headline").text.replace("\N{NO-BREAK SPACE}", " ")
    assert re.match(r"mAP@\.5 92\.6 % \(95 % interval 89\.7\N{EN DASH}94\.8 %\), on [\d,]+ objects in 72 test", words)
    # Recall .934 and precision .951.
    assert "Of 100 objects, about 93 are found; of 100 boxes shown, about 5 are false alarms" in page.header.text


def test_what_the_task_reports_is_what_the_page_shows(tmp_path):
    figures = told()
    page = read(tmp_path, sample(results=figures, history=(), **NOTHING))
    assert f"mAP@.5 {100 * figures['map50']:.1f}" in page.find(class_="headline").text
    table = next(table for table in page.find_all("table") if "AP@.5" in [th.text for th in table.find_all("th")])
    rows = table.tbody.find_all("tr")
    assert [row.th.text for row in rows] == list(CLASSES)
    for row, name in zip(rows[:2], CLASSES[:2], strict=True):
        cells = [cell.text for cell in row.find_all("td")]
        expected = figures["per_class"][name]
        keys = ("ap50", "ap", "precision", "recall", "f1")
        assert [cells[place] for place in (1, 4, 5, 6, 7)] == [f"{100 * expected[key]:.1f} %" for key in keys]
        assert (cells[0], cells[8]) == (str(expected["objects"]), str(expected["images"]))
        width = float(re.search(r"width: ([\d.]+)%", row.find(class_="bar")["style"])[1])
        assert width == pytest.approx(100 * expected["ap50"], abs=0.01)
    assert rows[2].find(class_="bar") is None
    assert "Not one of these images shows WBC" in page.find(id="caveats").text
    errors = page.find("svg", attrs={"aria-label": re.compile("Errors by kind")})
    words = [text.text.strip() for text in errors.find_all("text")]
    counts = [str(count) for count in figures["errors"]["counts"].values()]
    assert sum(map(int, counts)) > 0
    assert ",".join(counts) in ",".join(words)
    gains = [f"{100 * gain:+.1f}" for gain in figures["errors"]["map50_gains"].values()]
    assert ",".join(gains) in ",".join(words).replace("\N{MINUS SIGN}", "-")
    # Regions were all objects but one in six.
    assert "83.3 %" in page.find("h3", string="Proposals").find_next("table").text


def test_the_sample_has_every_figure_that_the_task_reports():
    def keys(value):
        return {name: keys(inner) for name, inner in value.items()} if isinstance(value, dict) else None

    real, made = told(), results_of()
    assert set(made) == set(real)
    assert keys(made["errors"]) == keys(real["errors"])
    assert keys(made["per_class"]["RBC"]) == keys(real["per_class"]["RBC"])
    assert made["per_image"][0].keys() == real["per_image"][0].keys()
    assert keys(made["proposals"]["top100"]) == keys(real["proposals"]["top100"])


def test_the_curve_has_a_line_a_class_with_its_threshold_marked(page):
    chart = page.find("svg", attrs={"aria-label": re.compile("Precision against recall")})
    assert {*CLASSES, "at the threshold"} <= {text.text for text in chart.find_all("text")}


def test_counts_are_compared_image_by_image():
    rows = [
        {"name": "a", "objects": 10, "found": 9, "missed": 1, "false_alarms": 3, "f1": 0.8},
        {"name": "b", "objects": 4, "found": 4, "missed": 0, "false_alarms": 0, "f1": 1.0},
    ]
    words = count_agreement(rows)
    assert "exact in 1 of 2 images" in words
    assert "16 boxes for 14 objects (+14.3 %)" in words
    chart = BeautifulSoup(str(counts_chart(rows)), "html.parser").svg
    # Circles of one size, each beginning at its lowest point.
    dots = [
        tuple(map(float, re.match(r"M ([\d.]+) ([\d.]+)", path["d"]).groups()))
        for path in chart.find_all("path", style=re.compile("fill: #0072b2", re.IGNORECASE))
    ]
    assert len(dots) == 2
    (x0, y0), (x1, y1) = sorted(dots)
    assert (y0 - y1) / (x1 - x0) == pytest.approx((12 - 4) / (10 - 4), rel=0.02)


def test_examples_have_their_boxes_in_the_image_s_own_pixels(page):
    shown = example(0)
    photos = page.find_all(class_="photos")
    assert [len(some.find_all("svg")) for some in photos] == [3, 3]
    svg = photos[0].find("svg")
    assert svg["viewbox"] == "0 0 240 180"
    assert svg.image["href"].startswith("data:image/jpeg;base64,")
    for group, mark in zip(svg.find_all("g"), shown.picture.marks, strict=True):
        x0, y0, x1, y1 = mark.corners
        for rect in group.find_all("rect"):
            numbers = [float(rect[key]) for key in ("x", "y", "width", "height")]
            assert numbers == pytest.approx([x0, y0, x1 - x0, y1 - y0], abs=0.051)
        dashed = group.find("rect").has_attr("stroke-dasharray")
        assert dashed == (mark.kind != "found")
        assert mark.label in group.title.text
    caption = photos[0].figcaption.text
    assert f"{shown.found} found, {shown.missed} missed, {shown.false_alarms} false" in caption
    pieces = page.find_all(class_="pieces")
    assert [len(some.find_all("svg")) for some in pieces] == [6, 6]
    assert "annotation is missing" in page.find("h3", string="Most confident false alarms").find_next("p").text


CAVEATS = {
    "a threshold that saw the images": (
        {"results": results_of(threshold_by="these images")},
        "The threshold was chosen on these very images",
    ),
    "few images": ({"results": results_of(images=20)}, "This figure rests on 20 images"),
    "few groups": ({"results": results_of(groups=9)}, "only 9 groups"),
    "proposals that miss": ({"results": results_of(proposal_recall=0.94)}, "Proposals reach only 94.0 %"),
    "a score that chose": (
        {"results": COARSE, "split": "validation", "chosen_on_split": True},
        "The validation mAP of 41.0 % chose the model",
    ),
    "folds": ({"split": "out-of-fold"}, "share most of their training"),
}


@pytest.mark.parametrize("name", CAVEATS)
def test_what_limits_the_figure_is_said(name):
    changes, words = CAVEATS[name]
    assert any(words in caveat for caveat in caveats(sample(**changes)))


def test_a_run_without_faults_has_none_of_these_caveats(page):
    assert not any(words in page.text for _, words in CAVEATS.values())


def test_methods_tell_how_and_repeat_tells_the_command(page):
    methods = page.find(id="methods").parent.text
    assert "find objects of 3 classes, by faster: a region proposal network" in methods
    assert "resized to 640 pixels" in methods
    assert "Training took 3 epochs" in methods
    assert "convolve train bccd detect=faster seed=0" in page.find(id="repeat").parent.text


def test_folds_are_told_apart(tmp_path):
    page = read(tmp_path, sample(members=folds(), history=(), **NOTHING))
    assert {f"fold {n}" for n in range(1, 4)} <= {cell.text for cell in page.find_all("th")}
    assert "mean 88.0 %, standard deviation 1.0 points over 3 trainings" in page.text


def test_hostile_names_are_only_text(tmp_path):
    classes = (HOSTILE, "b\x00\x1b[31m\n", "\N{SNOWMAN}\u4e2d\U0001f600")
    shown = [example(0, classes=classes)]
    page = written(
        tmp_path, sample(classes, title=HOSTILE, command=HOSTILE, reasons=(HOSTILE,), **NOTHING | {"worst": shown})
    )
    assert "<script" not in page
    soup = BeautifulSoup(page, "html.parser")
    assert HOSTILE in soup.h1.text
    assert any(HOSTILE in title.text for title in soup.find_all("title")[1:])


def test_the_same_report_is_the_same_file(text, tmp_path):
    assert written(tmp_path, sample()) == text
