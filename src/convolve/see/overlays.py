"""Masks, errors and uncertainty as pictures for people: over the image, small, and told apart without colour."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from convolve.data.dataset import IGNORE
from convolve.data.masks.pictures import blend, overlay

Colours: TypeAlias = Sequence[tuple[int, int, int]]
Picture: TypeAlias = NDArray[np.uint8]

WRONG = (214, 39, 40)
"""Red, green and blue of a pixel that was given the wrong class."""

_DARK, _LIGHT = (96, 96, 96), (176, 176, 176)
_STRIPE = 3
_STRETCHED = (2, 98)
# Red on a faded grey image is seen at once, whatever the image's own colours.
_FADED, _STRONG = 0.6, 0.85


def as_picture(pixels: NDArray[Any]) -> Picture:
    """An image's values as a picture: the first three bands as red, green and blue, or the only one as grey.

    Args:
        pixels: (H, W, C) of any type. What is not 8 bits is stretched from its 2nd to its 98th percentile, band by
            band, as programs for satellite images do; values that are not finite are black.

    Returns:
        (H, W, 3) RGB.
    """
    bands = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]
    if bands.dtype != np.uint8:
        bands = np.stack([_stretched(bands[..., band]) for band in range(bands.shape[2])], axis=2)
    return np.ascontiguousarray(np.broadcast_to(bands, (*bands.shape[:2], 3)))


def outlined_overlay(image: Picture, mask: NDArray[np.uint8], colours: Colours, *, alpha: float = 0.5) -> Picture:
    """An image with its mask laid over it, borders between classes in full colour, ignored pixels hatched in grey.

    Args:
        image: (H, W, 3) RGB.
        mask: (H, W) class indices 0..K-1, or `IGNORE`.
        colours: K of red, green and blue, 0..255.
        alpha: share of the class's colour inside, in [0, 1].

    Returns:
        (H, W, 3) RGB.
    """
    picture = overlay(image, mask, colours, alpha=alpha)
    solid = overlay(image, mask, colours, alpha=1.0)
    border = _borders(mask)
    picture[border] = solid[border]
    return _hatched(picture, mask == IGNORE)


def error_map(image: Picture, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> Picture:
    """Where a prediction is wrong: red; where it is right the image, grey and faded; ignored pixels hatched.

    Args:
        image: (H, W, 3) RGB.
        truth: (H, W) class indices, or `IGNORE`.
        predicted: (H, W) class indices.

    Returns:
        (H, W, 3) RGB.
    """
    grey = np.asarray(Image.fromarray(image).convert("L").convert("RGB"))
    picture = blend(grey, np.full_like(grey, 255), _FADED)
    wrong = (truth != predicted) & (truth != IGNORE)
    picture[wrong] = blend(grey, np.broadcast_to(np.array(WRONG, np.uint8), grey.shape), _STRONG)[wrong]
    return _hatched(picture, truth == IGNORE)


def uncertainty_map(entropy: NDArray[np.floating], *, highest: float) -> Picture:
    """Entropy in matplotlib's "inferno", whose lightness rises with the value: black is sure, yellow is not.

    Args:
        entropy: (H, W) nats.
        highest: what becomes yellow; ln K, the entropy of K classes that are equally probable, makes maps comparable.

    Returns:
        (H, W, 3) RGB.
    """
    mapped: Picture = colormaps["inferno"](np.asarray(entropy, np.float64) / highest, bytes=True)[..., :3]
    return np.ascontiguousarray(mapped)


def fitted_hw(hw: tuple[int, int], side: int) -> tuple[int, int]:
    """Height and width of the same shape whose longer side is at most `side`; small ones stay as they are.

    >>> fitted_hw((360, 480), 240), fitted_hw((20, 30), 240), fitted_hw((1, 5000), 100)
    ((180, 240), (20, 30), (1, 100))
    """
    factor = min(1.0, side / max(hw))
    height, width = (max(1, round(length * factor)) for length in hw)
    return height, width


def shrink_image(image: Picture, hw: tuple[int, int]) -> Picture:
    """An image (H, W, 3) at another height and width, smoothed."""
    return np.asarray(Image.fromarray(image).resize(hw[::-1], Image.Resampling.LANCZOS))


def shrink_mask(mask: NDArray[np.uint8], hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask (H, W) at another height and width by nearest pixels, so that no class appears that was not there."""
    return np.asarray(Image.fromarray(mask).resize(hw[::-1], Image.Resampling.NEAREST))


def shrink_map(values: NDArray[np.floating], hw: tuple[int, int]) -> NDArray[np.float32]:
    """A map of numbers (H, W) at another height and width, each the mean of what it covers."""
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(hw[::-1], Image.Resampling.BOX))


def _stretched(band: NDArray[Any]) -> Picture:
    values = band.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(band.shape, np.uint8)
    low, high = np.percentile(values[finite], _STRETCHED)
    scaled = (np.where(finite, values, low) - low) / max(high - low, np.finfo(np.float64).tiny)
    stretched: Picture = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
    return stretched


def _borders(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels whose right or lower neighbour has another class; not where one of the two is ignored."""
    border = np.zeros(mask.shape, bool)
    border[:, :-1] |= (mask[:, :-1] != mask[:, 1:]) & (mask[:, :-1] != IGNORE) & (mask[:, 1:] != IGNORE)
    border[:-1] |= (mask[:-1] != mask[1:]) & (mask[:-1] != IGNORE) & (mask[1:] != IGNORE)
    return border


def _hatched(picture: Picture, where: NDArray[np.bool_]) -> Picture:
    """The picture with grey diagonal stripes at some pixels."""
    rows, columns = np.ogrid[: where.shape[0], : where.shape[1]]
    stripes = np.array([_DARK, _LIGHT], np.uint8)[(rows + columns) // _STRIPE % 2]
    return np.where(where[..., None], stripes, picture)
