"""Which detections are true: each object is given to the most probable detection that covers it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convolve.data.boxes.detections import Detections
from convolve.tasks.detect.overlap import Truth, areas_of, overlaps

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""COCO's ten, .5 first."""
AT_75 = 5
"""The number of .75 among them."""

EVERY_SIZE = np.array([[0.0, 1e10]])
COCO_SIZES = np.array([[0.0, 1e10], [0.0, 32.0**2], [32.0**2, 96.0**2], [96.0**2, 1e10]])
"""(A, 2) least and largest area in square pixels, both included: every size, small, medium, large."""

FALSE, TRUE, IGNORED = 0, 1, -1

# Without it, a box that equals the truth fails at a threshold of 1 by rounding (pycocotools).
_LARGEST_THRESHOLD = 1 - 1e-10


@dataclass(frozen=True, slots=True)
class ClassMatches:
    """The detections of one class in N images, ranked over all images; equal probabilities in the images' order.

    Attributes:
        probabilities: (D,) float64, descending.
        images: (D,) which image each is of.
        places: (D,) which of its image's detections it is.
        ranks: (D,) how many of its image and class come before it.
        outcomes: (A, T, D) int8 `TRUE`, `FALSE` or `IGNORED`, at each size and IoU threshold.
        given: (A, T, D) int64 which object of the image's truth it was given, -1 = none.
        truths: (A, N) how many objects each image has to find.
    """

    probabilities: NDArray[np.float64]
    images: NDArray[np.int64]
    places: NDArray[np.int64]
    ranks: NDArray[np.int64]
    outcomes: NDArray[np.int8]
    given: NDArray[np.int64]
    truths: NDArray[np.int64]


def match(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    classes: int,
    *,
    thresholds: NDArray[np.float64] = IOU_THRESHOLDS,
    sizes: NDArray[np.float64] = EVERY_SIZE,
) -> list[ClassMatches]:
    """Match as COCO does, class by class.

    The most probable detection goes first and takes the free object with the highest IoU at or above the threshold; if
    there is none, it may fall on one that does not count, and then counts neither: an object of another size (each
    once), a crowd (by the share of the detection in it) or, as in VOC, a difficult one (both any number of times). What
    falls on nothing and is of another size does not count either.

    Args:
        truths: of N images.
        detections: of the same images.
        classes: K.
        thresholds: (T,) IoU in (0, 1].
        sizes: (A, 2) least and largest area, square pixels.

    Returns:
        For each class.

    Source: pycocotools' `evaluateImg`, to which it is equal where there are no difficult objects.
    """
    limits = np.minimum(thresholds, _LARGEST_THRESHOLD)

    def judge(part: _Part) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        counts = part.truth.counts & _within(part.truth.corners, sizes)
        given = _give(part.overlaps, counts, ~part.truth.counts, limits)
        outcomes = _outcomes(given, counts)
        outcomes[(given < 0) & ~_within(part.corners, sizes)[:, None]] = IGNORED
        return outcomes, given

    return _by_class(truths, detections, classes, sizes, len(thresholds), judge)


def match_voc(
    truths: Sequence[Truth], detections: Sequence[Detections], classes: int, *, threshold: float = 0.5
) -> list[ClassMatches]:
    """Match as VOC does: a detection is about the object it covers best, and false if that is taken already.

    Those about a difficult object count neither way, nor do those in a crowd.

    Args:
        truths: of N images.
        detections: of the same images.
        classes: K.
        threshold: IoU at which a detection is about an object.

    Returns:
        For each class, at one size and one threshold.

    Source: Everingham et al., "The PASCAL visual object classes (VOC) challenge", IJCV 2010, section 4.2, and
    `VOCevaldet.m` of its development kit.
    """

    def judge(part: _Part) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        given = np.full((1, 1, len(part.corners)), -1)
        outcomes = np.zeros(given.shape, np.int8)
        if not given.size or not len(part.truth.labels):
            return outcomes, given
        alone = np.where(part.truth.is_crowd, 0.0, part.overlaps)
        best = np.where(alone.max(axis=1) >= threshold, alone.argmax(axis=1), -1)
        objects, first = np.unique(best, return_index=True)
        hits = first[(objects >= 0) & part.truth.counts[objects]]
        given[0, 0, hits] = best[hits]
        outcomes[0, 0, hits] = TRUE
        crowded = (part.overlaps * part.truth.is_crowd).max(axis=1) >= threshold
        outcomes[0, 0, np.where(best >= 0, ~part.truth.counts[best], crowded)] = IGNORED
        return outcomes, given

    return _by_class(truths, detections, classes, EVERY_SIZE, 1, judge)


@dataclass(frozen=True, slots=True)
class _Part:
    """One class of one image: detections, most probable first, what they may be given, and how far they cover it."""

    truth: Truth
    corners: NDArray[np.float64]
    overlaps: NDArray[np.float64]


_Judge = Callable[[_Part], tuple[NDArray[np.int8], NDArray[np.int64]]]


def _by_class(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    classes: int,
    sizes: NDArray[np.float64],
    thresholds: int,
    judge: _Judge,
) -> list[ClassMatches]:
    rows: list[list[_Row]] = [[] for _ in range(classes)]
    for image, (truth, found) in enumerate(zip(truths, detections, strict=True)):
        covered = overlaps(found.corners, truth.corners, truth.is_crowd)
        for label in np.unique(found.labels).tolist():
            places, objects = np.flatnonzero(found.labels == label), np.flatnonzero(truth.labels == label)
            places = places[np.argsort(-found.probabilities[places], kind="stable")]
            part = _Part(_only(truth, objects), found.corners[places], covered[np.ix_(places, objects)])
            outcomes, given = judge(part)
            # Numbers within the class become those of the image; -1 stays.
            given = np.append(objects, -1)[given]
            rows[label].append(_Row(image, places, found.probabilities[places], outcomes, given))
    counted = _counted(truths, classes, sizes)
    return [_ranked(some, counts, thresholds) for some, counts in zip(rows, counted, strict=True)]


@dataclass(frozen=True, slots=True)
class _Row:
    image: int
    places: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    outcomes: NDArray[np.int8]
    given: NDArray[np.int64]


def _ranked(rows: Sequence[_Row], truths: NDArray[np.int64], thresholds: int) -> ClassMatches:
    """One class over all images."""
    if not rows:
        none, nothing = np.zeros(0, np.int64), np.zeros((len(truths), thresholds, 0), np.int64)
        return ClassMatches(np.zeros(0), none, none, none, nothing.astype(np.int8), nothing, truths)
    probabilities = np.concatenate([row.probabilities for row in rows])
    order = np.argsort(-probabilities, kind="stable")
    return ClassMatches(
        probabilities[order],
        np.repeat([row.image for row in rows], [len(row.places) for row in rows])[order],
        np.concatenate([row.places for row in rows])[order],
        np.concatenate([np.arange(len(row.places)) for row in rows])[order],
        np.concatenate([row.outcomes for row in rows], axis=2)[:, :, order],
        np.concatenate([row.given for row in rows], axis=2)[:, :, order],
        truths,
    )


def _counted(truths: Sequence[Truth], classes: int, sizes: NDArray[np.float64]) -> NDArray[np.int64]:
    """(K, A, N) how many objects of each class and size each image has to find."""
    counted = np.zeros((classes, len(sizes), len(truths)), np.int64)
    for image, truth in enumerate(truths):
        size, place = np.nonzero(truth.counts & _within(truth.corners, sizes))
        np.add.at(counted[:, :, image], (truth.labels[place], size), 1)
    return counted


def _give(
    covered: NDArray[np.float64], counts: NDArray[np.bool_], many: NDArray[np.bool_], limits: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(A, T, D) the object that each detection is given, or -1, from (D, G), (A, G), (G,) and (T,)."""
    given = np.full((len(counts), len(limits), len(covered)), -1)
    if not covered.size:
        return given
    # Numbers that order a detection's objects as they are preferred: those that count first, then by IoU; of equal
    # ones the later, as pycocotools does.
    order = covered.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    rank = order[:, None] + covered.shape[1] * counts
    free = np.ones((len(counts), len(limits), covered.shape[1]), np.bool_)
    sizes, thresholds = np.indices(free.shape[:2])
    for place in np.flatnonzero(covered.max(axis=1) >= limits.min()):
        reached = free & (covered[place] >= limits[:, None])
        best = np.where(reached, rank[place][:, None], -1).argmax(axis=2)
        taken = reached[sizes, thresholds, best]
        given[:, :, place] = np.where(taken, best, -1)
        free[sizes, thresholds, best] &= ~taken | many[best]
    return given


def _outcomes(given: NDArray[np.int64], counts: NDArray[np.bool_]) -> NDArray[np.int8]:
    """(A, T, D) from the same and (A, G)."""
    sizes = np.arange(len(counts))[:, None, None]
    # A column for what was given nothing, so that -1 finds it.
    padded = np.pad(counts, ((0, 0), (0, 1)))
    return np.where(given < 0, FALSE, np.where(padded[sizes, given], TRUE, IGNORED)).astype(np.int8)


def _only(truth: Truth, objects: NDArray[np.int64]) -> Truth:
    return Truth(truth.corners[objects], truth.labels[objects], truth.counts[objects], truth.is_crowd[objects])


def _within(corners: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(A, M) whether each box is of each size."""
    areas = areas_of(corners)
    within: NDArray[np.bool_] = (areas >= sizes[:, :1]) & (areas <= sizes[:, 1:])
    return within
