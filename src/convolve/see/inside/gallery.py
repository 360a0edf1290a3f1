"""The images that a network is shown to find out what its units respond to: its training images, mostly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.errors import UserError


@dataclass(frozen=True)
class Gallery:
    """Images of one size, with what is known of them.

    Attributes:
        images: (M, H, W, C) uint8, M >= N, as the network sees them before normalising; perhaps a memory map.
        names: N, for people.
        truths: N, the right class or classes in words; empty where unknown.
        key: equal keys, equal images; for what is kept between runs.
        places: (N,) int64, where in `images` they are; None = they are all of it.
    """

    images: NDArray[np.uint8]
    names: Sequence[str]
    truths: Sequence[str]
    key: str
    places: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.names)

    def batches(self, at_once: int, rows: Sequence[int] | None = None) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Images in order: (rows, (n, C, H, W) float32 in [0, 1]).

        Args:
            at_once: n, at most.
            rows: which; None = all.
        """
        chosen = range(len(self)) if rows is None else rows
        for start in range(0, len(chosen), at_once):
            some = chosen[start : start + at_once]
            yield some, self.tensor(some)

    def rows(self, at_most: int) -> tuple[int, ...]:
        """All rows, or so many evenly spread over them."""
        count = min(len(self), at_most)
        return tuple(row * len(self) // count for row in range(count))

    def truth(self, row: int) -> str:
        """The right class or classes of an image in words; empty where unknown."""
        return self.truths[row] if self.truths else ""

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """One of the N images, (H, W, C) uint8."""
        image: NDArray[np.uint8] = self.images[row if self.places is None else self.places[row]]
        return image

    def tensor(self, rows: Sequence[int]) -> Tensor:
        """Some of the N images, (n, C, H, W) float32 in [0, 1]."""
        pixels = np.stack([self.pixels(row) for row in rows])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32) / 255


def needed_gallery(gallery: Gallery | None, what: str, *, least: int = 1) -> Gallery:
    """The gallery, where there is one with enough images.

    Args:
        gallery: or None.
        what: what it is needed for, for the message.
        least: how many images.

    Raises:
        UserError: there is none, or it has fewer.
    """
    if gallery is None:
        raise UserError(
            f"{what}: there are no images to look through",
            "Give the folder of the training images, or look into a run whose images are still where they were.",
        )
    if len(gallery) < least:
        raise UserError(f"{what}: {least} images are needed, and there are {len(gallery)}", "Give more images.")
    return gallery
