import time

import numpy as np
import pytest

from convolve.tasks.detect.assignment import match
from convolve.tasks.detect.bootstrap import intervals
from convolve.tasks.detect.curves import average_precisions, weighted_average_precision
from convolve.tasks.detect.overlap import truth_of
from tasks.detect.coco_oracle import judged, per_class
from tasks.detect.made_up import detections_of, images


def matches_of(truths, detections, classes=3):
    return match([truth_of(one) for one in truths], detections, classes)


def test_an_image_that_counts_twice_is_as_one_that_is_there_twice():
    """Against pycocotools on the images drawn, which are written out as often as they were drawn."""
    truths, detections = images(20, crowds=0.2, ties=False)
    matches = matches_of(truths, detections)
    weights = np.random.default_rng(0).multinomial(20, np.full(20, 1 / 20), size=3).astype(np.int32)
    figures = np.stack([weighted_average_precision(one, weights) for one in matches], axis=1)
    for row, drawn in zip(figures, weights, strict=True):
        assert (drawn == 0).any()
        rows = np.repeat(np.arange(20), drawn)
        expected = per_class(judged([truths[one] for one in rows], [detections[one] for one in rows], 3))
        assert row == pytest.approx(expected, abs=1e-6)


def test_every_image_once_is_the_figure_itself():
    matches = matches_of(*images(30, crowds=0.2))
    once = np.ones((1, 30), np.int32)
    figures = np.stack([weighted_average_precision(one, once)[0] for one in matches])
    assert figures == pytest.approx(average_precisions(matches), abs=1e-12)


def test_the_same_seed_gives_the_same_interval_around_the_figure_and_another_seed_another():
    matches = matches_of(*images(40))
    figures = average_precisions(matches)
    found = intervals(matches)
    assert found == intervals(matches, seed=0) != intervals(matches, seed=1)
    assert found.map50[0] < figures[:, 0].mean() < found.map50[1]
    assert found.map[0] < figures.mean() < found.map[1]
    for (low, high), figure in zip(found.ap50, figures[:, 0], strict=True):
        assert low < figure < high


def test_more_images_make_it_narrower_as_the_root_of_their_number():
    widths = []
    for count in (30, 270):
        low, high = intervals(matches_of(*images(count))).map50
        widths.append(high - low)
    assert 2 < widths[0] / widths[1] < 4.5


def test_groups_of_equal_images_are_worth_one_image_each():
    """Eight copies of each of ten images: drawing the groups gives the spread of ten, drawing images that of eighty."""
    truths, detections = images(10, ties=False)
    matches = matches_of([one for one in truths for _ in range(8)], [one for one in detections for _ in range(8)])
    low, high = intervals(matches, groups=[str(number) for number in range(10) for _ in range(8)]).map50
    few_low, few_high = intervals(matches_of(truths, detections)).map50
    many_low, many_high = intervals(matches).map50
    assert high - low == pytest.approx(few_high - few_low, rel=0.25)
    assert high - low > 2 * (many_high - many_low)


def test_nothing_to_draw_from_and_nothing_to_tell_apart():
    truths, detections = images(2, classes=1)
    alone = intervals(matches_of(truths[1:], detections[1:]))
    assert (alone.map50, alone.map, alone.ap50) == (None, None, [None] * 3)
    assert alone.method == "no interval: one image"
    objects = truths[1].objects
    all_found = detections_of([one.corners for one in objects], [0] * len(objects), [1.0] * len(objects))
    perfect = [all_found] * 5
    assert intervals(matches_of([truths[1]] * 5, perfect)).map50 is None


def test_no_detections_at_all():
    truths, _ = images(12)
    found = intervals(matches_of(truths, [detections_of([], [], [])] * 12))
    assert (found.map50, found.map) == (None, None)


def test_four_thousand_detections_of_72_images_take_seconds():
    truths, detections = images(72, most=52)
    assert 3000 < sum(len(found.labels) for found in detections) < 5000
    matches = matches_of(truths, detections)
    began = time.process_time()
    intervals(matches)
    assert time.process_time() - began < 5
