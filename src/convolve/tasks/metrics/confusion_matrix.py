import numpy as np
from numpy.typing import NDArray


def confusion_matrix(targets: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How many images of each class were called what.

    Args:
        targets: (N,) true classes in [0, classes).
        predicted: (N,) classes in [0, classes).
        classes: K.

    Returns:
        (K, K) counts, rows = truth, columns = prediction; they sum to N.

    Source: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006), figure 1.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(targets * classes + predicted, minlength=classes * classes).reshape(classes, classes)
