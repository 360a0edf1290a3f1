"""A batch as everything below the loader sees it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

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
        targets: what the task packed: (N,) int64 class indices, (N, K) float32 in {0, 1} for several labels, or
            (N, M, 6) float32 boxes (`data.boxes.targets`).
        rows: (N,) int64, the samples' numbers in the pack; augmentation draws by them.
        blend: how the images were mixed, or None.
        extras: what else the network takes of each image, (N, ...) each.
    """

    images: Tensor
    targets: Tensor
    rows: NDArray[np.int64]
    blend: Blend | None = None
    extras: tuple[Tensor, ...] = ()


class Batches(Protocol):
    """What a training is fed: batch number `step` of an epoch, the same whenever it is asked for."""

    @property
    def steps(self) -> int:
        """Batches in an epoch."""

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch `step` of an epoch, both counted from 0; 0 <= step < steps."""

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_step` on, each made when it is asked for."""
