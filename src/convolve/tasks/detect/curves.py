"""Average precision of matched detections: of a class, and with every image counted any number of times."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convolve.tasks.detect.assignment import IGNORED, TRUE, ClassMatches
from convolve.tasks.detect.average_precision import coco_average_precision


class Peaks(NamedTuple):
    """A ranking at its true detections, as `average_precision` takes it.

    Attributes:
        found: (J,) how many true ones down to each.
        called: (J,) how many detections, true or false.
        truths: () how many objects there are to find.
    """

    found: NDArray[np.int64]
    called: NDArray[np.int64]
    truths: NDArray[np.int64]


def peaks(outcomes: NDArray[np.int8], truths: int) -> Peaks:
    """Of detections (D,), most probable first: `TRUE`, `FALSE` or `IGNORED`."""
    called = np.cumsum(outcomes != IGNORED)[outcomes == TRUE]
    return Peaks(np.arange(1, len(called) + 1), called, np.array(truths))


def peaks_of(matches: ClassMatches, *, size: int = 0, threshold: int = 0) -> Peaks:
    """Of one class, at one size and one IoU threshold, by number."""
    return peaks(matches.outcomes[size, threshold], int(matches.truths[size].sum()))


def average_precisions(matches: Sequence[ClassMatches], *, size: int = 0) -> NDArray[np.float64]:
    """(K, T) COCO's average precision of each class at each IoU threshold; NaN where a class has no objects."""
    return np.array([_at_each_threshold(one, size) for one in matches])


def average_recall(matches: Sequence[ClassMatches], *, size: int = 0, at_most: int = 100) -> float:
    """The share of objects found by the first so many detections of each image and class.

    The mean over IoU thresholds and those classes that have objects; NaN where none has. COCO's AR@100.
    """
    recalls = [_recall(one, size, at_most) for one in matches if one.truths[size].any()]
    return float(np.mean(recalls)) if recalls else float("nan")


def _at_each_threshold(matches: ClassMatches, size: int) -> list[float]:
    thresholds = range(matches.outcomes.shape[1])
    return [float(coco_average_precision(*peaks_of(matches, size=size, threshold=number))) for number in thresholds]


def _recall(matches: ClassMatches, size: int, at_most: int) -> float:
    """The mean over IoU thresholds."""
    found = matches.outcomes[size][:, matches.ranks < at_most] == TRUE
    return float(found.sum(axis=1).mean() / matches.truths[size].sum())


def weighted_average_precision(
    matches: ClassMatches, weights: NDArray[np.int32], *, size: int = 0
) -> NDArray[np.float64]:
    """(R, T) average precision of one class with each image counted so often; NaN where no object is left.

    Args:
        matches: of N images.
        weights: (R, N) how often each image counts.
        size: by number.
    """
    truths = weights @ matches.truths[size]
    thresholds = matches.outcomes.shape[1]
    figures = np.zeros((len(weights), thresholds))
    drawn = weights[:, matches.images]
    called = np.cumsum(drawn, axis=1, dtype=np.int32)
    for number in range(thresholds):
        outcomes = matches.outcomes[size, number]
        ignored = outcomes == IGNORED
        true = outcomes == TRUE
        counted = np.cumsum(drawn * ~ignored, axis=1, dtype=np.int32) if ignored.any() else called
        found = np.cumsum(drawn[:, true], axis=1, dtype=np.int32)
        figures[:, number] = coco_average_precision(found, counted[:, true], truths)
    return figures
