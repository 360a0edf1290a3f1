import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from convolve.data.dataset import Box, Boxes
from convolve.tasks.detect.assignment import FALSE, TRUE, match
from convolve.tasks.detect.overlap import truth_of
from convolve.tasks.detect.thresholds import (
    FALLBACK,
    OperatingPoint,
    best_threshold,
    operating_points,
    threshold_of,
    total,
)
from tasks.detect.made_up import detections_of, image, images

SQUARE = (0.0, 0.0, 10.0, 10.0)


def matches_of(truths, detections, classes=3):
    return match([truth_of(one) for one in truths], detections, classes)


def f1_by_counting(matches, threshold):
    true = sum(int(((one.outcomes[0, 0] == TRUE) & (one.probabilities >= threshold)).sum()) for one in matches)
    false = sum(int(((one.outcomes[0, 0] == FALSE) & (one.probabilities >= threshold)).sum()) for one in matches)
    objects = sum(int(one.truths.sum()) for one in matches)
    return 2 * true / (true + false + objects)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500))
def test_no_other_threshold_has_a_better_f1(start):
    pairs = [image(start + number) for number in range(8)]
    matches = matches_of([truth for truth, _ in pairs], [found for _, found in pairs])
    best = f1_by_counting(matches, threshold_of(matches))
    everyone = np.unique(np.concatenate([one.probabilities for one in matches]))
    assert best == pytest.approx(max(f1_by_counting(matches, each) for each in everyone), abs=1e-12)


def test_it_lies_halfway_between_the_last_detection_shown_and_the_next():
    truth = Boxes((100, 100), (Box(0, SQUARE),))
    found = detections_of([SQUARE, (50, 50, 60, 60)], [0, 0], [0.9, 0.5])
    assert threshold_of(matches_of([truth], [found], 1)) == pytest.approx(0.7)


def test_detections_of_one_probability_stand_or_fall_together():
    truth = Boxes((100, 100), (Box(0, SQUARE),))
    found = detections_of([SQUARE, (50, 50, 60, 60)], [0, 0], [0.8, 0.8])
    matches = matches_of([truth], [found], 1)
    threshold = threshold_of(matches)
    assert threshold == pytest.approx(0.4)
    assert total(operating_points(matches[0], threshold)) == OperatingPoint(true=1, false=1, missed=0)


def test_without_a_true_detection_it_is_the_fallback():
    nothing = Boxes((100, 100), ())
    found = detections_of([SQUARE], [0], [0.9])
    assert threshold_of(matches_of([nothing], [found], 1)) == FALLBACK
    assert threshold_of(matches_of([nothing], [detections_of([], [], [])], 1)) == FALLBACK


def test_of_boxes_it_is_that_of_all_classes_together():
    truths, detections = images(20)
    assert best_threshold(truths, detections) == threshold_of(matches_of(truths, detections))
    assert best_threshold([], []) == FALLBACK


def test_the_figures_are_scikit_learns():
    """As a yes-or-no question: an object that is not found is a detection not made."""
    matches = matches_of(*images(30))
    for one in matches:
        point = total(operating_points(one, 0.4))
        truth = [1] * point.true + [0] * point.false + [1] * point.missed
        said = [1] * (point.true + point.false) + [0] * point.missed
        expected = precision_recall_fscore_support(truth, said, average="binary")[:3]
        assert (point.precision, point.recall, point.f1) == pytest.approx(expected)
        assert point.true + point.missed == one.truths.sum()


def test_what_is_divided_by_nothing_is_none():
    empty = OperatingPoint(true=0, false=0, missed=0)
    assert (empty.precision, empty.recall, empty.f1) == (None, None, None)
