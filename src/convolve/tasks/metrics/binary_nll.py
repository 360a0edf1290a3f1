import numpy as np
from numpy.typing import NDArray


def binary_nll(logits: NDArray[np.float64], targets: NDArray[np.bool_]) -> float:
    """The mean negative log-likelihood of all yes-or-no answers, also called binary cross-entropy.

    Args:
        logits: (N, K), each of the probability 1 / (1 + exp(-logit)).
        targets: (N, K).

    Returns:
        Nats an answer, >= 0; ln 2 for logits of 0.

    Source: Bishop, "Pattern Recognition and Machine Learning", 2006, equation 4.90.

    >>> round(binary_nll(np.array([[0.0, 0.0]]), np.array([[True, False]])), 6)
    0.693147
    """
    # log(1 + exp(-x)) of the logit signed towards the truth, which neither overflows nor loses small values.
    return float(np.mean(np.logaddexp(0.0, np.where(targets, -logits, logits))))
