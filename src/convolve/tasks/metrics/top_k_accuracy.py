import numpy as np
from numpy.typing import NDArray


def top_k_accuracy(logits: NDArray[np.float64], targets: NDArray[np.int64], k: int) -> float:
    """The share of images whose true class is among the k most probable.

    Ties count against the network, so that one with equal outputs for everything is not found perfect.

    Args:
        logits: (N, K).
        targets: (N,) in [0, K).
        k: 1 <= k <= K.

    Returns:
        In [0, 1], not below the accuracy of smaller k.

    Source: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015, section 4.1 (k = 5).

    >>> top_k_accuracy(np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), np.array([1, 2]), 2)
    0.5
    """
    true_logits = logits[np.arange(len(targets)), targets]
    not_lower = np.sum(logits >= true_logits[:, None], axis=1)
    return float(np.mean(not_lower <= k))
