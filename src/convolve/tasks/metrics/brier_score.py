import numpy as np
from numpy.typing import NDArray


def brier_score(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """The squared distance of the probabilities from the truth (1 for the true class, 0 for the others).

    Args:
        probabilities: (N, K), rows sum to 1.
        targets: (N,) in [0, K).

    Returns:
        In [0, 2], smaller is better: Brier's own sum over the classes, twice what two-class texts often give.

    Source: Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950).

    >>> brier_score(np.array([[0.5, 0.5]]), np.array([0]))
    0.5
    """
    truth = np.eye(probabilities.shape[1])[targets]
    return float(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))
