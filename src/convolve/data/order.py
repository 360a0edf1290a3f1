"""Which samples are in which batch: an order that depends on (seed, epoch) alone."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from convolve.randomness import numpy_generator


class Order:
    """The positions 0 .. count - 1 in batches.

    Batches are as equal in size as can be, so that no small last one has a louder voice than the others; with a
    batch_size of 1 or 2 they have 2 or 3 samples, since batch normalisation cannot train on one.

    Args:
        count: how many samples there are; at least one.
        batch_size: the largest number of them in a batch.
        seed: of the recipe.
        shuffle: a new order every epoch; otherwise ascending.

    Raises:
        ValueError: there are no samples.
    """

    def __init__(self, count: int, *, batch_size: int, seed: int, shuffle: bool) -> None:
        if count == 0:
            raise ValueError("a loader needs at least one row")
        self.steps = max(1, min(-(-count // batch_size), count // 2))
        self._count = count
        self._seed = seed
        self._shuffle = shuffle
        self._batches_of = lru_cache(maxsize=2)(self._split)

    def positions(self, epoch: int, step: int) -> NDArray[np.int64]:
        """Those of batch `step` of an epoch, both counted from 0; 0 <= step < steps."""
        return self._batches_of(epoch if self._shuffle else 0)[step]

    def _split(self, epoch: int) -> list[NDArray[np.int64]]:
        positions = np.arange(self._count)
        if self._shuffle:
            positions = numpy_generator(self._seed, "order", epoch).permutation(positions)
        return np.array_split(positions, self.steps)
