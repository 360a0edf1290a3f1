"""What the values of training images are like: the range that becomes [0, 1], and mean and spread within it."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from convolve.data.native_pack import NativePack
from convolve.randomness import numpy_generator

_LEAST, _GREATEST = 0.001, 0.999
_SAMPLED = 1 << 24
"""Pixels looked at of all images together; where there are no more than that the answers are exact."""

Bounds: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]


def measure_range(pack: NativePack, rows: NDArray[np.int64]) -> Bounds:
    """What becomes 0 and 1, per channel, in the images' units.

    The range of the type for uint8. For other types, whose range says nothing of the values in use (16 bits often hold
    12), the 0.1st and 99.9th percentile: single wild values shall not leave the others a sliver of [0, 1].

    Args:
        pack: the images.
        rows: (M,) those for training, at least one.

    Returns:
        low and high, (C,) each; high is above low.
    """
    if pack.dtype == np.uint8:
        return (0.0,) * pack.channels, (255.0,) * pack.channels
    values = np.concatenate([_some_pixels(pack, int(row), _share(rows)) for row in rows])
    # Channel by channel, since of many bands a copy in 64 bits would take gigabytes.
    bounds = [
        np.quantile(values[:, channel].astype(np.float64), [_LEAST, _GREATEST]) for channel in range(pack.channels)
    ]
    low, high = np.transpose(bounds)
    # A channel of one value only (an empty band) becomes all 0 rather than a division by zero.
    return tuple(low.tolist()), tuple(np.where(high > low, high, low + 1).tolist())


def channel_statistics(
    pack: NativePack, rows: NDArray[np.int64], low: Sequence[float], high: Sequence[float]
) -> Bounds:
    """Mean and standard deviation of each channel over the valid pixels of some images, values in [0, 1].

    Args:
        pack: the images.
        rows: (M,) those for training, at least one.
        low: (C,) what becomes 0.
        high: (C,) what becomes 1.

    Returns:
        mean and standard deviation, (C,) each; the latter is 1 where a channel has one value only.
    """
    bottom, top = np.asarray(low, np.float64), np.asarray(high, np.float64)
    count, total, squares = 0, np.zeros(pack.channels), np.zeros(pack.channels)
    for row in rows:
        values = _some_pixels(pack, int(row), _share(rows)).astype(np.float64)
        unit = np.clip((values - bottom) / (top - bottom), 0, 1)
        count += len(unit)
        total += unit.sum(axis=0)
        squares += np.square(unit).sum(axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return tuple(mean.tolist()), tuple(np.where(std > 1e-6, std, 1.0).tolist())


def _share(rows: NDArray[np.int64]) -> int:
    return max(1, _SAMPLED // len(rows))


def _some_pixels(pack: NativePack, row: int, at_most: int) -> NDArray[np.generic]:
    """(P, C) valid pixels of an image, all if they are few."""
    pixels = pack.image(row).reshape(-1, pack.channels)
    valid = pack.valid(row)
    if len(pixels) <= at_most:
        return pixels if valid is None else pixels[valid.ravel()]
    places = np.sort(numpy_generator("pixel statistics", row).integers(len(pixels), size=at_most))
    return pixels[places] if valid is None else pixels[places[valid.ravel()[places]]]
