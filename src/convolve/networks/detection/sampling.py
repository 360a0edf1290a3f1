"""Which of the matched reference boxes a training step looks at."""

import torch
from torch import Tensor

from convolve.networks.detection.matching import Matched


def sample(matched: Matched, *, count: int, positive_share: float) -> tuple[Tensor, Tensor]:
    """Draw positives and negatives, from torch's global generator, each without repetition.

    Args:
        matched: of one image.
        count: of both together; fewer where there are not so many.
        positive_share: at most so many of them are positive; negatives fill up.

    Returns:
        Indices of the positives and of the negatives, int64.
    """
    positives, negatives = matched.positive.nonzero()[:, 0], matched.negative.nonzero()[:, 0]
    positives = _some(positives, int(count * positive_share))
    return positives, _some(negatives, count - len(positives))


def _some(indices: Tensor, count: int) -> Tensor:
    if len(indices) <= count:
        return indices
    # On the CPU, so that every device draws the same.
    return indices[torch.randperm(len(indices))[:count].to(indices.device)]
