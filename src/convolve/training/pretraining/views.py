"""Batches for pre-training: every image as two views of it, side by side on the channel axis."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from convolve.data.augment.augmentation import Augmentation
from convolve.data.batch import Batch, Batches
from convolve.data.preprocessing import Normalise, Preprocessing
from convolve.training.pretraining import Method


class Views:
    """The batches of plain images, as a method's views.

    Args:
        plain: batches without augmentation.
        method: makes the views.
        augmentation: that they are drawn from.
        seed: of the draws.
    """

    def __init__(self, plain: Batches, method: Method, augmentation: Augmentation, *, seed: int) -> None:
        self._plain = plain
        self._method = method
        self._augmentation = augmentation
        self._seed = seed

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return self._plain.steps

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch `step` of an epoch, its images (N, 2C, H, W)."""
        batch = self._plain.batch(epoch, step)
        return replace(
            batch, images=self._method.views(batch, self._augmentation, seed=self._seed, epoch=epoch), blend=None
        )

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_step` on, each made when it is asked for."""
        for step in range(start_step, self.steps):
            yield self.batch(epoch, step)


def normalise_views(preprocessing: Preprocessing) -> Normalise:
    """(N, 2C, H, W) in [0, 1] -> the same shape, each view normalised."""

    def normalise(views: Tensor) -> Tensor:
        return torch.cat([preprocessing.normalise(view) for view in views.chunk(2, dim=1)], dim=1)

    return normalise
