"""A batch as everything below the loader sees it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Blend:
    """How images of a batch were mixed with others of it (mixup).

    Attributes:
        partner: (N,) int64, the position in the batch of the image mixed in.
        weight: (N,) float32 in [0, 1], the share of the image itself; its partner has 1 - weight.
    """

    partner: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Images with their targets.

    Attributes:
        images: (N, C, H, W) float32 in [0, 1], RGB or grey, not normalised.
        targets: what the task packed: (N,) int64 class indices, or (N, K) float32 in {0, 1} for several labels.
        rows: (N,) int64, the samples' numbers in the pack; augmentation draws by them.
        blend: how the images were mixed, or None.
    """

    images: Tensor
    targets: Tensor
    rows: NDArray[np.int64]
    blend: Blend | None = None
