"""What uncertainty is worth: whether the pixels that it calls uncertain are those that are wrong.

Pixels come as counts (B, 2) by ascending uncertainty, right and wrong, as `ImageTally.entropy` has them; within a bin
they are taken to be mixed evenly.
"""

import numpy as np
from numpy.typing import NDArray


def retained_accuracy(counts: NDArray[np.int64], share: float) -> float | None:
    """Accuracy of the most certain share of the pixels; None where there is none.

    >>> retained_accuracy(np.array([[8, 0], [1, 1]]), 0.8)
    1.0
    """
    right, wrong = _up_to(counts, share)
    return float(right / (right + wrong)) if right + wrong else None


def errors_held(counts: NDArray[np.int64], share: float) -> float | None:
    """The share of all errors that the least certain share of the pixels holds; None where nothing is wrong.

    >>> errors_held(np.array([[8, 0], [1, 1]]), 0.1)
    0.5
    """
    total = int(counts[:, 1].sum())
    return float(1 - _up_to(counts, 1 - share)[1] / total) if total else None


def auroc(counts: NDArray[np.int64]) -> float | None:
    """How probable it is that a wrong pixel is less certain than a right one; None where all are of one kind.

    Pixels of one bin count as a draw. Source: Hanley and McNeil, "The meaning and use of the area under a receiver
    operating characteristic (ROC) curve", Radiology 143, 1982.

    >>> auroc(np.array([[8, 0], [1, 1]]))
    0.9444444444444444
    """
    right, wrong = counts[:, 0].astype(np.float64), counts[:, 1].astype(np.float64)
    pairs = right.sum() * wrong.sum()
    below = np.cumsum(right) - right
    return float((wrong * (below + right / 2)).sum() / pairs) if pairs else None


def _up_to(counts: NDArray[np.int64], share: float) -> tuple[float, float]:
    """Right and wrong pixels among the most certain share."""
    bins = counts.sum(axis=1)
    wanted = share * bins.sum()
    before = np.cumsum(bins) - bins
    part = np.clip(np.divide(wanted - before, bins, out=np.zeros(len(bins)), where=bins > 0), 0, 1)
    right, wrong = part @ counts
    return float(right), float(wrong)
