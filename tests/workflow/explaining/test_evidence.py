from dataclasses import replace

import numpy as np
import pytest
import torch

from convolve.data.decoding import BrokenImage
from convolve.errors import UserError
from convolve.workflow.explaining.evidence import MOST_SHOWN, evidence, looks_at
from faces.cli.terminal import succeeds
from see.inside.subjects import red_and_green_question, small_question, small_subject
from workflow.explaining.squares import CLASSIFIER

SECTION = "What the network looks at"


def test_evidence_lies_on_what_speaks_for_each_class():
    subject, question = red_and_green_question()
    found = evidence(subject, replace(question, wanted=0, truth=1), 0.75)
    assert (found.predicted, found.truth, found.probability) == ("red", "green", 0.75)
    plain = question.picture.astype(int)
    for drawn, (low, high) in ((found.for_answer, (0, 16)), (found.for_truth, (24, 40))):
        # Grey where nothing speaks, coloured where something does.
        colour = drawn.astype(int).max(axis=2) - drawn.astype(int).min(axis=2)
        row, column = np.unravel_index(colour.argmax(), colour.shape)
        assert low <= row < high
        assert low <= column < high
    assert plain.shape == found.image.shape


def test_without_a_truth_there_is_nothing_to_compare_with():
    found = evidence(small_subject(), small_question(), 0.5)
    assert (found.truth, found.for_truth) == ("", None)


def test_at_most_so_many_are_shown():
    subject, question = small_subject(), small_question()
    assert len(looks_at(lambda: [(subject, question, 0.5)] * (MOST_SHOWN + 3)).mistakes) == MOST_SHOWN


def test_no_mistake():
    assert looks_at(list).words == "There is no mistake to look into."


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("no maps", "Take another."), "Nothing can be shown: no maps. Take another."),
        (BrokenImage("the file has gone"), "Nothing can be shown: the file has gone."),
        (torch.OutOfMemoryError("out of memory\nmore"), "Nothing can be shown: out of memory."),
    ],
)
def test_where_it_cannot_be_made_the_report_says_why(error, words):
    def fail():
        raise error

    found = looks_at(fail)
    assert (found.words, found.mistakes) == (words, ())


def test_a_fault_of_the_program_keeps_its_traceback():
    def fail():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        looks_at(fail)


def report_of(squares, folder, *settings):
    succeeds("train", squares, *CLASSIFIER, *settings, "--out", folder)
    page = (folder / "report.html").read_text()
    assert SECTION in page
    return page[page.index(f">{SECTION}") :]


def test_a_report_of_folds_shows_the_mistakes_of_their_models(squares, tmp_path):
    section = report_of(squares, tmp_path / "run", "epochs=1", "folds=2", "lr=1e-6")
    assert "The surest mistakes" in section
    assert section.count("<figure") >= 3


def test_the_report_of_a_network_without_maps_says_so(squares, tmp_path):
    settings = ("network=mlp", "network.options.hidden=[2]", "epochs=1", "lr=1e-6")
    assert "Nothing can be shown: the network has no convolution" in report_of(squares, tmp_path / "run", *settings)


def test_the_report_of_a_network_that_is_never_wrong_says_so(classifier):
    page = (classifier / "report.html").read_text()
    assert "There is no mistake to look into." in page


def test_reports_of_masks_and_boxes_have_the_section(segmenter, detectors):
    for run in (segmenter, detectors / "faster", detectors / "onestage"):
        page = (run / "report.html").read_text()
        assert "The surest mistakes" in page[page.index(f">{SECTION}") :]
