import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score


def average_precision(scores: NDArray[np.float64], targets: NDArray[np.bool_]) -> float | None:
    """The area below precision against recall of one class, over all thresholds.

    Args:
        scores: (N,) larger where the class is more probable.
        targets: (N,) whether the image has the class.

    Returns:
        In (0, 1], about the share of images with the class for random scores; None where no image has the class.

    Source: Manning, Raghavan and Schuetze, "Introduction to Information Retrieval", 2008, section 8.4.

    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    0.8333333333333333
    """
    return float(average_precision_score(targets, scores)) if targets.any() else None
