import numpy as np
from numpy.typing import NDArray


def balanced_accuracy(confusion: NDArray[np.int64]) -> float:
    """The mean over classes of the share of their images that are right; a class without images is left out.

    Guessing gives 1 / K however uneven the classes are, where plain accuracy rewards naming the largest.

    Args:
        confusion: (K, K) counts, rows = truth.

    Returns:
        In [0, 1].

    Source: Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.

    >>> balanced_accuracy(np.array([[98, 0], [2, 0]]))
    0.5
    """
    images = confusion.sum(axis=1)
    present = images > 0
    return float(np.mean(np.diag(confusion)[present] / images[present]))
