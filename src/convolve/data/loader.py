"""Batches of a pack, in an order and with augmentations that depend on (seed, epoch, step) alone."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.augment.augmentation import Augmentation
from convolve.data.batch import Batch
from convolve.data.dataset import ImageArray
from convolve.randomness import numpy_generator


class Loader:
    """The batches of some rows of a pack, any of them at any time.

    Batches are as equal in size as can be, so that no small last one has a louder voice than the others; with a
    batch_size of 1 or 2 they have 2 or 3 images, since batch normalisation cannot train on one.

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
        if len(rows) == 0:
            raise ValueError("a loader needs at least one row")
        self.steps = max(1, min(-(-len(rows) // batch_size), len(rows) // 2))
        self._images = images
        self._targets = targets
        self._rows = rows
        self._seed = seed
        self._augmentation = augmentation
        self._shuffle = shuffle
        self._batches_of = lru_cache(maxsize=2)(self._split)

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch number `step` of an epoch, the same whenever it is asked for.

        Args:
            epoch: counted from 0.
            step: 0 <= step < steps.
        """
        rows = self._batches_of(epoch if self._shuffle else 0)[step]
        pixels = torch.from_numpy(np.asarray(self._images[rows])).permute(0, 3, 1, 2)
        images = pixels.contiguous().to(torch.float32).div_(255)
        batch = Batch(images, self._targets[torch.from_numpy(rows)], rows)
        return self._augmentation(batch, seed=self._seed, epoch=epoch) if self._augmentation else batch

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_step` on, each made when it is asked for."""
        for step in range(start_step, self.steps):
            yield self.batch(epoch, step)

    def _split(self, epoch: int) -> list[NDArray[np.int64]]:
        rows = self._rows
        if self._shuffle:
            rows = numpy_generator(self._seed, "order", epoch).permutation(rows)
        return np.array_split(rows, self.steps)
