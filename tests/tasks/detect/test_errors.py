import numpy as np
import pytest

from convolve.data.dataset import Box, Boxes
from convolve.tasks.detect.assignment import FALSE, match
from convolve.tasks.detect.curves import average_precisions
from convolve.tasks.detect.errors import KINDS, count_errors, find_errors, gains
from convolve.tasks.detect.overlap import truth_of
from tasks.detect.made_up import detections_of, images

SQUARE = (0.0, 0.0, 10.0, 10.0)
FAR = (50.0, 50.0, 60.0, 60.0)


def judged(truths, detections, classes=2):
    arrays = [truth_of(one) for one in truths]
    matches = match(arrays, detections, classes)
    return find_errors(arrays, detections, matches), matches, arrays


def scene(objects, corners, labels, probabilities):
    truth = Boxes((100, 100), tuple(Box(label, where) for where, label in objects))
    return judged([truth], [detections_of(corners, labels, probabilities)])


def named(found):
    return [KINDS[kind] for kind in found[0].kinds]


@pytest.mark.parametrize(
    ("corners", "label", "kind"),
    [
        (SQUARE, 1, "class"),
        ((0, 0, 10, 4), 0, "localisation"),
        ((0, 0, 10, 1), 0, "localisation"),
        ((0, 0, 10, 4), 1, "both"),
        ((0, 0, 10, 0.9), 0, "background"),
        # Of another class, an overlap of exactly .1 is still none.
        ((0, 0, 10, 1), 1, "background"),
        ((70, 70, 80, 80), 0, "background"),
    ],
)
def test_each_kind_by_its_overlap(corners, label, kind):
    found = scene([(SQUARE, 0)], [corners], [label], [0.9])
    assert named(found) == [kind]
    # An object that an error points at is not called missed.
    assert count_errors(*found, 0.0)["missed"] == (kind in ("both", "background"))


def test_a_second_detection_of_an_object_is_a_duplicate():
    found = scene([(SQUARE, 0)], [SQUARE, (0, 0, 10, 9)], [0, 0], [0.9, 0.8])
    assert named(found) == ["duplicate"]
    assert gains(*found)["duplicate"] == 0


def test_without_objects_all_is_background_and_there_is_nothing_to_gain():
    found = scene([], [SQUARE], [0], [0.9])
    assert named(found) == ["background"]
    assert gains(*found) is None


def test_what_is_below_the_threshold_is_neither_wrong_nor_found():
    found = scene([(SQUARE, 0), (FAR, 0)], [SQUARE, FAR, (80, 80, 90, 90)], [0, 0, 0], [0.9, 0.3, 0.2])
    assert count_errors(*found, 0.5) == {**dict.fromkeys(KINDS, 0), "missed": 1}
    assert count_errors(*found, 0.1) == {**dict.fromkeys(KINDS, 0), "background": 1, "missed": 0}


def test_the_gain_of_mending_background():
    """Ranked false, true, of one object: precision is 1/2 at every recall; without the false one it is 1."""
    found = scene([(SQUARE, 0)], [FAR, SQUARE], [0, 0], [0.9, 0.8])
    assert gains(*found) == pytest.approx({**dict.fromkeys([*KINDS, "missed"], 0), "background": 0.5})


def test_the_gain_of_mending_a_place():
    """Nothing is found; moved onto its object, the only detection finds one of two, 51 of 101 recalls."""
    found = scene([(SQUARE, 0), (FAR, 0)], [(0, 0, 10, 4)], [0], [0.9])
    mended = gains(*found)
    assert mended["localisation"] == pytest.approx(51 / 101)
    # Of two objects one is missed; not asked for, the other is still not found.
    assert mended["missed"] == 0
    assert count_errors(*found, 0.0)["missed"] == 1


def test_the_gain_of_mending_a_class():
    """Class 0 has a found object, class 1 one that was called 0 with more probability: (1/2 + 0) / 2 becomes 1."""
    found = scene([(SQUARE, 0), (FAR, 1)], [FAR, SQUARE], [0, 0], [0.9, 0.8])
    assert named(found) == ["class"]
    assert gains(*found)["class"] == pytest.approx(0.75)


def test_of_two_errors_on_one_object_only_the_more_probable_becomes_true():
    found = scene([(SQUARE, 0), (FAR, 0)], [(0, 0, 10, 4), (0, 0, 10, 3)], [0, 0], [0.9, 0.8])
    assert named(found) == ["localisation"] * 2
    assert gains(*found)["localisation"] == pytest.approx(51 / 101)


def test_the_gain_of_not_missing():
    """One of two is found: 51 of 101 recalls; asked for that one alone, all."""
    found = scene([(SQUARE, 0), (FAR, 0)], [SQUARE], [0], [0.9])
    assert gains(*found)["missed"] == pytest.approx(1 - 51 / 101)


def by_the_paper(truth, corners, label):
    """Bolya et al., section 2.1, one object at a time; the order is that of the code."""

    def iou(one):
        width = min(one.corners[2], corners[2]) - max(one.corners[0], corners[0])
        height = min(one.corners[3], corners[3]) - max(one.corners[1], corners[1])
        common = max(width, 0) * max(height, 0)
        areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one.corners, corners)]
        return common / (sum(areas) - common)

    objects = [one for one in truth.objects if one.kind == "object"]
    own = max((iou(one) for one in objects if one.index == label), default=0)
    other = max((iou(one) for one in objects if one.index != label), default=0)
    if 0.1 <= own < 0.5:
        return "localisation"
    if other >= 0.5:
        return "class"
    if own >= 0.5:
        return "duplicate"
    return "background" if max(own, other) <= 0.1 else "both"


def test_on_many_images_every_false_detection_is_of_one_kind_and_no_mending_harms():
    truths, detections = images(60, crowds=0.1, difficult=0.1)
    errors, matches, arrays = judged(truths, detections, 3)
    assert len(errors.kinds) == sum(int((one.outcomes[0, 0] == FALSE).sum()) for one in matches)
    for number, (image, place) in enumerate(zip(errors.images, errors.places, strict=True)):
        corners = detections[image].corners[place].tolist()
        assert detections[image].labels[place] == errors.labels[number]
        assert KINDS[errors.kinds[number]] == by_the_paper(truths[image], corners, errors.labels[number])
    counts = count_errors(errors, matches, arrays, 0.0)
    assert all(counts.values())
    assert sum(counts[kind] for kind in KINDS) == len(errors.kinds)
    mended = gains(errors, matches, arrays)
    now = np.nanmean(average_precisions(matches)[:, 0])
    assert all(-1e-12 <= gain <= 1 - now for gain in mended.values())
    assert mended["localisation"] > 0.01
