"""The images that a network is shown to find out what its units respond to: its training images, mostly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Gallery:
    """Images of one size, with what is known of them.

    Attributes:
        images: (N, H, W, C) uint8, as the network sees them before normalising; perhaps a memory map.
        names: N, for people.
        truths: N, the right class or classes in words; empty where unknown.
        key: equal keys, equal images; for what is kept between runs.
    """

    images: NDArray[np.uint8]
    names: Sequence[str]
    truths: Sequence[str]
    key: str

    def __len__(self) -> int:
        """N."""
        return len(self.images)

    def batches(self, at_once: int) -> Iterator[tuple[range, Tensor]]:
        """All images in order: (rows, (n, C, H, W) float32 in [0, 1])."""
        for start in range(0, len(self), at_once):
            rows = range(start, min(start + at_once, len(self)))
            yield rows, self.tensor(rows)

    def tensor(self, rows: Sequence[int]) -> Tensor:
        """Some of the images, (n, C, H, W) float32 in [0, 1]."""
        pixels = np.stack([self.images[row] for row in rows])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32) / 255
