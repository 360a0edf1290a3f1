import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convolve.tasks.detect.assignment import FALSE, IGNORED, TRUE
from convolve.tasks.detect.average_precision import (
    RECALLS,
    coco_average_precision,
    precision_at,
    voc2007_average_precision,
    voc_average_precision,
)
from convolve.tasks.detect.curves import peaks

ALL = (coco_average_precision, voc2007_average_precision, voc_average_precision)
rankings = st.lists(st.sampled_from([TRUE, FALSE, IGNORED]), max_size=40)


def average_precision(kind, outcomes, truths):
    return float(kind(*peaks(np.array(outcomes, np.int8), truths)))


def by_definition(outcomes, truths, recalls):
    """Precision and recall at every rank, and the best precision at or above each recall, by loops."""
    points, true, false = [], 0, 0
    for one in outcomes:
        true, false = true + (one == TRUE), false + (one == FALSE)
        if one != IGNORED:
            points.append((true / truths, true / (true + false)))
    return [max((precision for recall, precision in points if recall >= wanted), default=0.0) for wanted in recalls]


def test_the_worked_example_of_three_objects_ranked_true_false_true():
    """6/11 by eleven points, 5/9 by area, 56/101 by COCO."""
    found = [average_precision(kind, [TRUE, FALSE, TRUE], 3) for kind in ALL]
    assert found == pytest.approx([56 / 101, 6 / 11, 5 / 9], abs=1e-12)


@given(rankings, st.integers(0, 5))
def test_all_three_equal_their_definitions(outcomes, unfound):
    truths = outcomes.count(TRUE) + unfound
    if not truths:
        assert all(np.isnan(average_precision(kind, outcomes, truths)) for kind in ALL)
        return
    coco = by_definition(outcomes, truths, RECALLS)
    assert average_precision(coco_average_precision, outcomes, truths) == pytest.approx(np.mean(coco), abs=1e-12)
    assert precision_at(*peaks(np.array(outcomes, np.int8), truths)[:2], truths) == pytest.approx(coco, abs=1e-12)
    eleven = np.mean(by_definition(outcomes, truths, [step / 10 for step in range(11)]))
    assert average_precision(voc2007_average_precision, outcomes, truths) == pytest.approx(eleven, abs=1e-12)
    # Between two neighbouring recalls that can be had, precision is what it is at the upper one.
    area = np.mean(by_definition(outcomes, truths, np.arange(1, truths + 1) / truths))
    assert average_precision(voc_average_precision, outcomes, truths) == pytest.approx(area, abs=1e-12)


@given(rankings, st.integers(1, 5), st.integers(0, 40))
def test_one_more_false_detection_never_helps(outcomes, unfound, place):
    truths = outcomes.count(TRUE) + unfound
    worse = [*outcomes[:place], FALSE, *outcomes[place:]]
    for kind in ALL:
        assert average_precision(kind, worse, truths) <= average_precision(kind, outcomes, truths)


@given(rankings, st.integers(1, 5))
def test_what_is_ignored_changes_nothing(outcomes, unfound):
    truths = outcomes.count(TRUE) + unfound
    without = [one for one in outcomes if one != IGNORED]
    for kind in ALL:
        assert average_precision(kind, without, truths) == average_precision(kind, outcomes, truths)


@pytest.mark.parametrize("kind", ALL)
def test_all_found_and_nothing_else_is_1_and_nothing_found_is_0(kind):
    assert average_precision(kind, [TRUE] * 7, 7) == 1
    assert average_precision(kind, [FALSE] * 7, 7) == average_precision(kind, [], 7) == 0


@pytest.mark.parametrize("kind", ALL)
def test_many_rankings_at_once_are_each_by_itself(kind):
    generator = np.random.default_rng(0)
    rankings = np.where(generator.random((5, 30)) < 0.5, TRUE, FALSE).astype(np.int8)
    singly = [peaks(one, 20) for one in rankings]
    # Padded by repeating the last true detection, which is no further one.
    longest = max(len(one.found) for one in singly)
    found = np.stack([np.pad(one.found, (0, longest - len(one.found)), mode="edge") for one in singly])
    called = np.stack([np.pad(one.called, (0, longest - len(one.called)), mode="edge") for one in singly])
    together = kind(found, called, np.full(5, 20))
    assert together == pytest.approx([float(kind(*one)) for one in singly], abs=1e-12)
