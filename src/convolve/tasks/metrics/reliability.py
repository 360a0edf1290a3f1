from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions of about the same confidence.

    Attributes:
        confidence: their mean confidence, in [0, 1].
        accuracy: the share of them that is right, in [0, 1].
        n: how many there are, at least one.
    """

    confidence: float
    accuracy: float
    n: int


def reliability(
    confidences: NDArray[np.float64], right: NDArray[np.bool_], *, bins: int = BINS
) -> list[ReliabilityBin]:
    """Confidence against accuracy: the points of a reliability diagram.

    Args:
        confidences: (N,) in [0, 1].
        right: (N,) whether each prediction came true.
        bins: how many intervals of equal width, ((m - 1) / bins, m / bins], the confidences are sorted into.

    Returns:
        The bins that are not empty, ascending.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2.

    >>> reliability(np.array([0.9, 0.9, 0.2]), np.array([True, False, False]), bins=2)
    [ReliabilityBin(confidence=0.2, accuracy=0.0, n=1), ReliabilityBin(confidence=0.9, accuracy=0.5, n=2)]
    """
    inner_edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    numbers = np.digitize(confidences, inner_edges, right=True)
    points = []
    for number in np.unique(numbers):
        inside = numbers == number
        points.append(
            ReliabilityBin(
                float(confidences[inside].mean()), float(right[inside].mean()), int(np.count_nonzero(inside))
            )
        )
    return points
