"""Masks as pictures: class indices in their colours, alone or over the image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import IGNORE

IGNORED_COLOUR = (128, 128, 128)
"""Red, green and blue of a pixel that has no class; no class has a grey of its own unless the data set says so."""


def paint_mask(mask: NDArray[np.uint8], colours: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """A mask in the colours of its classes.

    Args:
        mask: (H, W) class indices 0..K-1, or `IGNORE`, which becomes grey.
        colours: K of red, green and blue, 0..255.

    Returns:
        (H, W, 3) RGB.

    Raises:
        IndexError: the mask holds an index that has no colour.
    """
    unknown = mask[(mask >= len(colours)) & (mask != IGNORE)]
    if unknown.size:
        raise IndexError(f"class {unknown.max()} has no colour: there are {len(colours)}")
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = colours
    table[IGNORE] = IGNORED_COLOUR
    painted: NDArray[np.uint8] = table[mask]
    return painted


def overlay(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    colours: Sequence[tuple[int, int, int]],
    *,
    alpha: float = 0.5,
) -> NDArray[np.uint8]:
    """An image with its mask laid over it.

    Args:
        image: (H, W, 3) RGB.
        mask: (H, W) class indices 0..K-1, or `IGNORE`.
        colours: K of red, green and blue, 0..255.
        alpha: share of the mask's colour in [0, 1]; 0 shows the image alone.

    Returns:
        (H, W, 3) RGB.
    """
    return blend(image, paint_mask(mask, colours), alpha)


def blend(below: NDArray[np.uint8], above: NDArray[np.uint8], alpha: float) -> NDArray[np.uint8]:
    """One picture over another of the same shape, (1 - alpha) below + alpha above, rounded.

    Args:
        below: (H, W, 3) RGB.
        above: (H, W, 3) RGB.
        alpha: in [0, 1].

    Returns:
        (H, W, 3) RGB.
    """
    mixed = below * np.float32(1 - alpha) + above * np.float32(alpha)
    return np.rint(mixed).astype(np.uint8)
