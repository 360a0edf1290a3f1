"""Batches of a pack, in an order and with augmentations that depend on (seed, epoch, step) alone."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.augment.augmentation import Augmentation
from convolve.data.batch import Batch
from convolve.data.dataset import ImageArray
from convolve.data.order import Order


class Loader:
    """The batches of some rows of a pack, any of them at any time; `Order` says which rows are in which.

    Args:
        images: (N, H, W, C) uint8, the pack; a memory map, of which only a batch at a time is read.
        targets: (N, ...) of the whole pack, row by row.
        rows: the pack rows that are loaded, in the order they come unshuffled; at least one.
        batch_size: the largest number of images in a batch.
        seed: of the recipe.
        augmentation: applied to every batch, or None.
        shuffle: a new order every epoch; otherwise that of `rows`.

    Raises:
        ValueError: there are no rows.
    """

    def __init__(
        self,
        images: ImageArray,
        targets: Tensor,
        rows: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        shuffle: bool,
    ) -> None:
        self._order = Order(len(rows), batch_size=batch_size, seed=seed, shuffle=shuffle)
        self.steps = self._order.steps
        self._images = images
        self._targets = targets
        self._rows = rows
        self._seed = seed
        self._augmentation = augmentation

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch number `step` of an epoch, the same whenever it is asked for.

        Args:
            epoch: counted from 0.
            step: 0 <= step < steps.
        """
        rows = self._rows[self._order.positions(epoch, step)]
        pixels = torch.from_numpy(np.asarray(self._images[rows])).permute(0, 3, 1, 2)
        images = pixels.contiguous().to(torch.float32).div_(255)
        batch = Batch(images, self._targets[torch.from_numpy(rows)], rows)
        return self._augmentation(batch, seed=self._seed, epoch=epoch) if self._augmentation else batch

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_step` on, each made when it is asked for."""
        for step in range(start_step, self.steps):
            yield self.batch(epoch, step)
