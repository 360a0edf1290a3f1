import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax


def nll(logits: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """The mean negative log-likelihood of the true classes, also called log loss or cross-entropy.

    Args:
        logits: (N, K).
        targets: (N,) in [0, K).

    Returns:
        Nats an image, >= 0; ln K for equal logits.

    Source: Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 6.2.2.3.

    >>> round(nll(np.array([[1.0, 2.0, 3.0]]), np.array([0])), 6)
    2.407606
    """
    log_likelihoods = log_softmax(logits, axis=1)[np.arange(len(targets)), targets]
    return float(-np.mean(log_likelihoods))
