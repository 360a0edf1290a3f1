import re
from html.parser import HTMLParser

import numpy as np
import pytest
from bs4 import BeautifulSoup

from convolve.see.report.page import write_report
from see.report.samples import folds, sample, several_label_results

CLASSES = ("mono", "poly", "thin film")
HOSTILE = "<script>alert('x')</script>&\"$\\frac{1}{0}$ {{ 7 * 7 }}"
VOID = {"meta", "img", "br", "path", "use", "image"}


class WellFormed(HTMLParser):
    """Raises at a tag that closes nothing, or closes another than was opened last."""

    def __init__(self):
        super().__init__()
        self.open, self.requests, self.texts = [], [], []

    def handle_starttag(self, tag, attributes):
        self.requests += [v for k, v in attributes if k in {"src", "href", "xlink:href", "srcset", "poster", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def written(tmp_path, report):
    path = tmp_path / "report.html"
    write_report(path, report)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def text(tmp_path):
    return written(tmp_path, sample(CLASSES))


CHOSEN = {"n": 0, "loss": 0.31, "accuracy": 0.93, "balanced_accuracy": 0.9}
REPORTS = {
    "one split": lambda: sample(CLASSES),
    "folds": lambda: sample(CLASSES, members=folds(CLASSES), split="out-of-fold"),
    "several labels": lambda: sample(CLASSES, results=several_label_results(CLASSES), history=(), best_epoch=None),
    "many classes": lambda: sample([f"class {number}" for number in range(60)]),
    "nothing held out": lambda: sample(CLASSES, results=CHOSEN, split="validation", chosen_on_split=True),
    "bare": lambda: sample(
        CLASSES, history=(), mistakes=(), uncertain=(), plain_sheet=(), augmented_sheet=(), reasons=()
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_is_well_formed_and_asks_for_nothing(name, tmp_path):
    page = written(tmp_path, REPORTS[name]())
    parser = WellFormed()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    assert parser.requests
    assert [r for r in parser.requests if not r.startswith(("#", "data:image/"))] == []
    assert re.findall(r"url\((?!#)", page) == []
    assert set(re.findall(r"https?://[^\"'\s<]*", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "<script" not in page


def test_the_headline_comes_first_and_has_n_and_interval(text):
    body = BeautifulSoup(text, "html.parser").body
    results = sample(CLASSES).results
    low, high = (f"{100 * bound:.1f}" for bound in results["accuracy_ci95"])
    words = body.find(class_="headline").text.replace("\N{NO-BREAK SPACE}", " ")
    assert (
        words == f"{100 * results['accuracy']:.1f} % of 372 test images right (95 % interval {low}\N{EN DASH}{high} %)"
    )
    assert body.text.index("test images right") < 60


def test_section_links_lead_somewhere(text):
    page = BeautifulSoup(text, "html.parser")
    targets = [link["href"][1:] for link in page.nav.find_all("a")]
    assert len(targets) == 7
    assert [page.find(id=target).name for target in targets] == ["h2"] * 7


def test_ids_are_unique_so_that_charts_do_not_share_clip_paths(text):
    page = BeautifulSoup(text, "html.parser")
    clips = [path["id"] for path in page.find_all("clippath")]
    assert len(clips) == len(set(clips)) >= 3


def test_a_run_can_be_repeated_from_its_page(text):
    page = BeautifulSoup(text, "html.parser")
    codes = [code.text for code in page.find_all("code")]
    assert codes == ["convolve train cells network=resnet18 seed=0", sample(CLASSES).recipe_toml]


def test_the_same_report_is_the_same_file(tmp_path, text):
    assert written(tmp_path, sample(CLASSES)) == text


def test_hostile_names_are_only_text(tmp_path):
    classes = (HOSTILE, "b\x00\x1b[31m\n", "\N{SNOWMAN}\u4e2d\U0001f600")
    page = written(tmp_path, sample(classes, title=HOSTILE, command=HOSTILE, reasons=(HOSTILE,)))
    soup = BeautifulSoup(page, "html.parser")
    assert soup.find("script") is None
    assert soup.h1.text == HOSTILE
    assert HOSTILE in [cell.text for cell in soup.find_all("th")]
    assert "<script" not in page


def test_a_file_name_without_characters_is_still_written(tmp_path):
    surrogate = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    classes = (surrogate, "b", "c")
    assert r"caf\udce9.png" in written(tmp_path, sample(classes))


def test_several_labels_have_no_confusion_matrix(tmp_path):
    page = written(tmp_path, sample(CLASSES, results=several_label_results(CLASSES)))
    assert "right in every label" in page
    assert "average precision" in page
    assert "Confusion matrix" not in page


def test_a_score_that_chose_the_model_is_no_headline(tmp_path):
    page = BeautifulSoup(written(tmp_path, REPORTS["nothing held out"]()), "html.parser")
    assert page.find(class_="headline").text == "No images were held out, so there is no accuracy to report"
    assert "The validation accuracy of 93.0 % chose the model" in page.find(id="caveats").text


def test_folds_are_told_apart_and_together(tmp_path):
    members = folds(CLASSES)
    page = BeautifulSoup(written(tmp_path, sample(CLASSES, members=members, split="out-of-fold")), "html.parser")
    scores = [member.results["accuracy"] for member in members]
    assert (
        f"mean {100 * np.mean(scores):.1f} %, standard deviation {100 * np.std(scores, ddof=1):.1f} points" in page.text
    )
    assert {f"fold {n}" for n in range(1, 6)} <= {cell.text for cell in page.find_all("th")}


def test_a_failed_report_leaves_the_old_one(tmp_path, text):
    with pytest.raises(KeyError):
        written(tmp_path, sample(CLASSES, results={"n": 3}))
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
