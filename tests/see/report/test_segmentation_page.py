"""The page of a run on masks: whole, safe, and true to its figures."""

import re

import numpy as np
import pytest
from bs4 import BeautifulSoup

from convolve.see.report.segmentation_page import write_segmentation_report
from convolve.tasks.segment.results import results
from convolve.tasks.segment.tally import tally_image
from see.report.segmentation_samples import CLASSES, example, folds, results_of, sample
from see.report.test_page import HOSTILE, WellFormed

COARSE = {"n": 0, "loss": 0.31, "mean_iou": 0.71, "pixel_accuracy": 0.9}
BARE = {
    "nll": None,
    "brier": None,
    "calibration_error": None,
    "reliability": None,
    "retained": None,
    "least_certain": None,
    "auroc": None,
    "mean_iou_ci95": None,
    "pixel_accuracy_ci95": None,
}
MANY = tuple(f"class {number}" for number in range(60))
REPORTS = {
    "one split": sample,
    "folds": lambda: sample(members=folds(), split="out-of-fold"),
    "a class that never occurs": lambda: sample((*CLASSES, "lake")),
    "many classes": lambda: sample(MANY),
    "two classes": lambda: sample(CLASSES[:2]),
    "nothing held out": lambda: sample(results=COARSE, split="validation", chosen_on_split=True, worst=(), typical=()),
    "bare": lambda: sample(
        results=results_of([example(entropy=False)], **BARE),
        history=(),
        worst=[example(entropy=False)],
        typical=(),
        reasons=(),
        pixel_shares={},
    ),
}


def written(tmp_path, report):
    path = tmp_path / "report.html"
    write_segmentation_report(path, report)
    return path.read_text(encoding="utf-8")


def read(tmp_path, report):
    return BeautifulSoup(written(tmp_path, report), "html.parser")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return written(tmp_path_factory.mktemp("page"), sample())


@pytest.fixture
def page(text):
    return BeautifulSoup(text, "html.parser")


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_is_well_formed_and_asks_for_nothing(name, tmp_path):
    page = written(tmp_path, REPORTS[name]())
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


def test_the_headline_has_the_figure_its_interval_and_what_it_rests_on(page):
    report = sample()
    words = page.find(class_="headline").text.replace("\N{NO-BREAK SPACE}", " ")
    found = 100 * report.results["mean_iou"]
    low, high = (100 * bound for bound in report.results["mean_iou_ci95"])
    right = 100 * report.results["pixel_accuracy"]
    assert words == (
        f"Mean IoU {found:.1f} % (95 % interval {low:.1f}\N{EN DASH}{high:.1f} %), {right:.1f} % of the pixels right, "
        "on 4 test images"
    )


def test_the_table_has_a_row_a_class_with_bars_as_long_as_the_iou(page):
    report = sample()
    table = next(table for table in page.find_all("table") if "IoU" in [th.text for th in table.find_all("th")])
    rows = table.tbody.find_all("tr")
    assert [row.th.text.strip() for row in rows] == list(CLASSES)
    for row, figures in zip(rows, report.results["per_class"], strict=True):
        assert f"{100 * figures['iou']:.1f} %" in [cell.text for cell in row.find_all("td")]
        width = float(re.search(r"width: ([\d.]+)%", row.find(class_="bar")["style"])[1])
        assert width == pytest.approx(100 * figures["iou"], abs=0.01)
        whisker = row.find(class_="whisker")["style"]
        left, length = (float(re.search(rf"{key}: ([\d.]+)%", whisker)[1]) for key in ("left", "width"))
        assert [left, left + length] == pytest.approx([100 * bound for bound in figures["iou_ci95"]], abs=0.02)


def test_the_confusion_matrix_is_in_percent_of_the_row(page):
    report = sample()
    chart = page.find("svg", attrs={"aria-label": re.compile("Confusion")})
    cells = [text.text for text in chart.find_all("text")][-9:]
    confusion = report.results["confusion"]
    assert cells == [f"{100 * count / sum(row):.0f}" for row in confusion for count in row]


def test_what_the_task_reports_is_what_the_page_shows(tmp_path):
    examples = [example(seed, wrong=0.05 + 0.1 * seed) for seed in range(3)]
    tallies = []
    for one in examples:
        probabilities = np.full((3, *one.truth.shape), 0.1, np.float32)
        np.put_along_axis(probabilities, one.predicted[None].astype(np.int64), np.float32(0.8), axis=0)
        tallies.append(tally_image(probabilities, one.truth, entropy=one.entropy))
    told = results(tallies, CLASSES, names=[one.name for one in examples], groups=None)
    page = read(tmp_path, sample(results=told))
    expected = results_of(examples)
    assert f"Mean IoU {100 * expected['mean_iou']:.1f}" in page.find(class_="headline").text
    cells = [cell.text for cell in page.find_all("td")]
    for row in expected["per_class"]:
        assert {f"{100 * row[key]:.1f} %" for key in ("iou", "f1", "precision", "recall")} <= set(cells)
    # All wrong pixels, and no right ones, have the higher entropy.
    wrong = 1 - expected["pixel_accuracy"]
    held = 100 * min(1, 0.1 / wrong)
    assert f"least certain 10 % of the pixels hold {held:.1f} % of the errors" in page.text
    # Written out, so that a new name for a figure does not leave the sample behind.
    assert set(expected) <= set(told)
    assert set(expected["per_class"][0]) <= set(told["per_class"][0])


def test_examples_show_five_pictures_each_or_four_without_uncertainty(page, tmp_path):
    images = page.find(id="images").parent.find_all("img")
    assert len(images) == 4 * 5
    assert [image["alt"].rpartition(": ")[2] for image in images[:5]] == [
        "image",
        "truth",
        "prediction",
        "errors",
        "uncertainty",
    ]
    assert len(read(tmp_path, REPORTS["bare"]()).find(id="images").parent.find_all("img")) == 4


def test_folds_are_told_apart(tmp_path):
    page = read(tmp_path, REPORTS["folds"]())
    assert {f"fold {n}" for n in range(1, 4)} <= {cell.text for cell in page.find_all("th")}
    assert re.search(r"mean \d\d\.\d %, standard deviation \d+\.\d points over 3 trainings", page.text)


def test_a_score_that_chose_the_model_is_no_headline(tmp_path):
    page = read(tmp_path, REPORTS["nothing held out"]())
    assert page.find(class_="headline").text == "No images were held out, so there is no mean IoU to report"
    assert "The validation mean IoU of 71.0 % chose the model" in page.find(id="caveats").text


def test_hostile_names_are_only_text(tmp_path):
    classes = (HOSTILE, "b\x00\x1b[31m\n", "\N{SNOWMAN}\u4e2d\U0001f600")
    page = written(tmp_path, sample(classes, title=HOSTILE, command=HOSTILE, reasons=(HOSTILE,)))
    assert "<script" not in page
    assert HOSTILE in BeautifulSoup(page, "html.parser").h1.text


def test_the_same_report_is_the_same_file(text, tmp_path):
    assert written(tmp_path, sample()) == text
