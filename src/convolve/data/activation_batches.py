"""Batches of what frozen layers made of the images, in place of the images themselves."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.batch import Batch
from convolve.data.order import Order


class ActivationBatches:
    """Activations at the upper edge of frozen layers, in the batches in which a `Loader` would give the images.

    Args:
        views: one or more draws of the augmentation, each (M, ...) floats, row by row as `rows`; epoch e is fed the
            e-th, beginning again when there are no more. Memory maps, of which only a batch at a time is read.
        targets: (N, ...) of the whole pack, row by row.
        rows: (M,) of the pack.
        batch_size: the largest number of images in a batch.
        seed: of the recipe.
        shuffle: a new order every epoch; otherwise that of `rows`.
    """

    def __init__(
        self,
        views: Sequence[NDArray[np.floating]],
        targets: Tensor,
        rows: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
    ) -> None:
        self._order = Order(len(rows), batch_size=batch_size, seed=seed, shuffle=shuffle)
        self.steps = self._order.steps
        self._views = views
        self._targets = targets
        self._rows = rows

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch `step` of an epoch, both counted from 0; its images are activations, float32."""
        positions = self._order.positions(epoch, step)
        view = self._views[epoch % len(self._views)]
        activations = torch.from_numpy(view[positions].astype(np.float32))
        rows = self._rows[positions]
        return Batch(activations, self._targets[torch.from_numpy(rows)], rows)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_step` on, each read when it is asked for."""
        for step in range(start_step, self.steps):
            yield self.batch(epoch, step)
