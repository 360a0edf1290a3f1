import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from convolve.data.dataset import Box, Boxes
from convolve.tasks.detect.assignment import FALSE, IGNORED, TRUE, match, match_voc
from convolve.tasks.detect.average_precision import voc_average_precision
from convolve.tasks.detect.curves import average_precisions, peaks_of
from convolve.tasks.detect.overlap import overlaps, truth_of
from tasks.detect.made_up import boxes_in_image, detections_of, image, images

SQUARE = (0.0, 0.0, 10.0, 10.0)


def truth(*objects):
    """From (corners, kind), all of class 0."""
    return truth_of(Boxes((100, 100), tuple(Box(0, corners, kind) for corners, kind in objects)))


def outcomes(one_truth, corners, probabilities, *, how=match, **options):
    (found,) = how([one_truth], [detections_of(corners, [0] * len(corners), probabilities)], 1, **options)
    return found.outcomes[0, 0].tolist(), found.given[0, 0].tolist()


def test_iou_is_torchvisions():
    generator = np.random.default_rng(0)
    some = boxes_in_image(generator, 40)
    others = np.vstack([some[:20] + 3, boxes_in_image(generator, 10)])
    expected = box_iou(torch.from_numpy(some), torch.from_numpy(others)).numpy()
    assert overlaps(some, others) == pytest.approx(expected, abs=1e-12)
    assert (expected > 0.5).any()


def test_boxes_without_area_overlap_nothing():
    point = np.array([[5.0, 5, 5, 5]])
    assert overlaps(point, point).tolist() == [[0.0]]
    assert overlaps(point, np.array([SQUARE]), np.array([True])).tolist() == [[0.0]]


@pytest.mark.parametrize("how", [match, match_voc])
def test_the_most_probable_detection_takes_the_object_and_the_next_is_false(how):
    found = outcomes(truth((SQUARE, "object")), [(0, 0, 10, 9), SQUARE], [0.9, 0.8], how=how)
    assert found == ([TRUE, FALSE], [0, -1])


@pytest.mark.parametrize("how", [match, match_voc])
def test_an_overlap_of_exactly_the_threshold_is_enough(how):
    assert outcomes(truth((SQUARE, "object")), [(0, 0, 10, 5)], [0.9], how=how)[0] == [TRUE]
    assert outcomes(truth((SQUARE, "object")), [(0, 0, 10, 4.99)], [0.9], how=how)[0] == [FALSE]


def test_where_the_best_object_is_taken_coco_gives_the_next_and_voc_none():
    two = truth((SQUARE, "object"), ((0.0, 0.0, 10.0, 7.0), "object"))
    corners = [SQUARE, (0, 0, 10, 9)]
    assert outcomes(two, corners, [0.9, 0.8]) == ([TRUE, TRUE], [0, 1])
    assert outcomes(two, corners, [0.9, 0.8], how=match_voc) == ([TRUE, FALSE], [0, -1])


@pytest.mark.parametrize("how", [match, match_voc])
@pytest.mark.parametrize("kind", ["difficult", "crowd"])
def test_any_number_of_detections_on_what_does_not_count_is_neither_right_nor_wrong(kind, how):
    one = truth((SQUARE, kind))
    assert outcomes(one, [SQUARE, SQUARE, (50, 50, 60, 60)], [0.9, 0.8, 0.7], how=how)[0] == [IGNORED, IGNORED, FALSE]


@pytest.mark.parametrize("how", [match, match_voc])
def test_a_small_detection_within_a_crowd_is_ignored_and_one_within_a_difficult_object_is_false(how):
    small = [(1, 1, 3, 3)]
    assert outcomes(truth((SQUARE, "crowd")), small, [0.9], how=how)[0] == [IGNORED]
    assert outcomes(truth((SQUARE, "difficult")), small, [0.9], how=how)[0] == [FALSE]


def test_an_object_that_counts_goes_before_a_better_covered_one_that_does_not_in_coco_but_not_in_voc():
    two = truth((SQUARE, "difficult"), ((0.0, 0.0, 10.0, 8.0), "object"))
    assert outcomes(two, [SQUARE], [0.9]) == ([TRUE], [1])
    assert outcomes(two, [SQUARE], [0.9], how=match_voc) == ([IGNORED], [-1])


def voc_by_the_kit(truths, detections, label):
    """VOCevaldet.m, by loops: detections ranked over all images, each about the object it covers best."""
    ranked = sorted(
        (
            (-probability, number, corners)
            for number, found in enumerate(detections)
            for corners, one, probability in zip(found.corners, found.labels, found.probabilities, strict=True)
            if one == label
        ),
        key=lambda row: row[0],
    )
    objects = [[one for one in some.objects if one.index == label] for some in truths]
    taken, told = [set() for _ in truths], []
    for _, number, corners in ranked:
        ious = [float(overlaps(corners[None], np.array([one.corners]))[0, 0]) for one in objects[number]]
        best = int(np.argmax(ious)) if ious else -1
        if best < 0 or ious[best] < 0.5:
            told.append(FALSE)
        elif objects[number][best].kind == "difficult":
            told.append(IGNORED)
        else:
            told.append(FALSE if best in taken[number] else TRUE)
            taken[number].add(best)
    return told, sum(one.kind == "object" for some in objects for one in some)


def test_voc_is_as_its_development_kit_has_it():
    truths, detections = images(60, crowds=0.0, difficult=0.2)
    seen = set()
    for label, found in enumerate(match_voc([truth_of(one) for one in truths], detections, 3)):
        expected, count = voc_by_the_kit(truths, detections, label)
        assert found.outcomes[0, 0].tolist() == expected
        assert found.truths.sum() == count
        assert 0 < float(voc_average_precision(*peaks_of(found))) < 1
        seen |= set(expected)
    assert seen == {TRUE, FALSE, IGNORED}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_in_which_objects_and_images_come_does_not_matter(seed, shuffler):
    pairs = [image(seed + number, ties=False, difficult=0.1) for number in range(4)]
    expected = average_precisions(match([truth_of(one) for one, _ in pairs], [found for _, found in pairs], 3))
    shuffler.shuffle(pairs)
    mixed = [Boxes(one.hw, tuple(shuffler.sample(one.objects, len(one.objects)))) for one, _ in pairs]
    again = average_precisions(match([truth_of(one) for one in mixed], [found for _, found in pairs], 3))
    assert again == pytest.approx(expected, abs=1e-12, nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_perfect_detections_are_all_true_at_every_threshold(seed):
    one, _ = image(seed)
    real = [each for each in one.objects if each.kind == "object"]
    found = detections_of(
        [each.corners for each in real], [each.index for each in real], np.linspace(1, 0.5, len(real))
    )
    figures = average_precisions(match([truth_of(Boxes(one.hw, tuple(real)))], [found], 3))
    present = {each.index for each in real}
    assert [bool(np.isnan(row[0])) for row in figures] == [label not in present for label in range(3)]
    assert figures[~np.isnan(figures)] == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_no_object_is_given_twice_and_no_truth_is_made_up(seed):
    one, detections = image(seed, crowds=0.0)
    for label, found in enumerate(match([truth_of(one)], [detections], 3)):
        for given_objects, told in zip(found.given[0], found.outcomes[0], strict=True):
            hits = given_objects[told == TRUE]
            assert len(set(hits.tolist())) == len(hits) <= found.truths.sum()
            assert all(one.objects[hit].index == label for hit in hits)
