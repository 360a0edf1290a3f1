"""From which probability on a detection is shown, and what that is worth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Boxes
from convolve.tasks.detect.assignment import FALSE, IOU_THRESHOLDS, TRUE, ClassMatches, match
from convolve.tasks.detect.overlap import truth_of

FALLBACK = 0.5
"""Where no detection is true, so that no threshold is better than another."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What the detections of at least some probability come to; None where the division is by nothing.

    Attributes:
        true: detections that are objects.
        false: detections that are not.
        missed: objects without a detection.
    """

    true: int
    false: int
    missed: int

    @property
    def precision(self) -> float | None:
        """Of the detections, the share that is an object."""
        return self.true / (self.true + self.false) if self.true + self.false else None

    @property
    def recall(self) -> float | None:
        """Of the objects, the share that is detected."""
        return self.true / (self.true + self.missed) if self.true + self.missed else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of the two, 2 TP / (2 TP + FP + FN); van Rijsbergen, "Information Retrieval", chapter 7."""
        total = 2 * self.true + self.false + self.missed
        return 2 * self.true / total if total else None


def operating_points(matches: ClassMatches, threshold: float) -> list[OperatingPoint]:
    """Of each image, for the detections of one class at the first size and IoU threshold.

    Args:
        matches: of N images.
        threshold: smallest probability of a detection that is looked at.
    """
    shown = matches.probabilities >= threshold
    images = matches.truths.shape[1]
    outcomes = matches.outcomes[0, 0]
    true = np.bincount(matches.images[shown & (outcomes == TRUE)], minlength=images)
    false = np.bincount(matches.images[shown & (outcomes == FALSE)], minlength=images)
    missed = matches.truths[0] - true
    return [OperatingPoint(*counts) for counts in zip(true.tolist(), false.tolist(), missed.tolist(), strict=True)]


def total(points: Sequence[OperatingPoint]) -> OperatingPoint:
    """All of them together."""
    return OperatingPoint(
        sum(one.true for one in points), sum(one.false for one in points), sum(one.missed for one in points)
    )


def best_threshold(truths: Sequence[Boxes], detections: Sequence[Detections]) -> float:
    """As `threshold_of`, of all classes together at an IoU of .5."""
    labels = [one.index for truth in truths for one in truth.objects]
    labels += [int(label) for found in detections for label in found.labels]
    arrays = [truth_of(one) for one in truths]
    return threshold_of(match(arrays, detections, max(labels, default=0) + 1, thresholds=IOU_THRESHOLDS[:1]))


def threshold_of(matches: Sequence[ClassMatches]) -> float:
    """The smallest probability to show for the highest F1 over all detections of these classes; the highest such.

    Halfway to the next lower probability, so that the least probable box that is shown does not hang on the last bit of
    an engine's arithmetic. To be chosen on validation images: on those it is chosen on, F1 flatters.

    Args:
        matches: of one class, for a threshold of its own, or of all.

    Returns:
        In [0, 1]; `FALLBACK` where nothing is true.
    """
    probabilities = np.concatenate([one.probabilities for one in matches])
    outcomes = np.concatenate([one.outcomes[0, 0] for one in matches])
    if not (outcomes == TRUE).any():
        return FALLBACK
    order = np.argsort(-probabilities, kind="stable")
    probabilities, outcomes = probabilities[order], outcomes[order]
    objects = sum(int(one.truths[0].sum()) for one in matches)
    scores = _f1(outcomes, objects)
    following = np.append(probabilities[1:], 0.0)
    # Detections of one probability are shown together or not at all.
    scores[following == probabilities] = -1.0
    best = int(scores.argmax())
    return float((probabilities[best] + following[best]) / 2)


def _f1(outcomes: NDArray[np.int8], objects: int) -> NDArray[np.float64]:
    """(D,) of all detections down to each."""
    true = np.cumsum(outcomes == TRUE)
    called = true + np.cumsum(outcomes == FALSE)
    scores: NDArray[np.float64] = 2 * true / (called + objects)
    return scores
