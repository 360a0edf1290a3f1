import numpy as np
from numpy.typing import NDArray


def accuracy(confusion: NDArray[np.int64]) -> float:
    """The share of images whose most probable class is the true one.

    Args:
        confusion: (K, K) counts, rows = truth.

    Returns:
        In [0, 1]; also called overall or top-1 accuracy.

    Source: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006), figure 1.

    >>> accuracy(np.array([[8, 2], [1, 9]]))
    0.85
    """
    return float(np.trace(confusion) / confusion.sum())
