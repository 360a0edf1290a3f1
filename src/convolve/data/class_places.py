"""Where each class is in a mask: a bounded number of places, drawn so that each pixel is as likely as any other."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from convolve.randomness import numpy_generator

Places: TypeAlias = NDArray[np.uint32]
"""(M,) positions in a mask that was laid out row after row, ascending."""

_STRIP_PIXELS = 1 << 22
_ALL_PLACES = 1 << 24
_FEWEST, _MOST = 256, 4096


def places_a_class(masks: int, classes: int) -> int:
    """How many places of each class are kept of each mask, so that those of all masks stay small next to their pixels.

    >>> places_a_class(72, 6), places_a_class(701, 11), places_a_class(100_000, 20)
    (4096, 2175, 256)
    """
    return int(np.clip(_ALL_PLACES // max(1, masks * classes), _FEWEST, _MOST))


def draw_places(mask: NDArray[np.uint8], classes: int, at_most: int, *, row: int) -> list[Places]:
    """Some pixels of each class, all where there are few.

    Memory is bounded, whatever the mask's size: it is gone through in strips, and of every class the pixels with the
    smallest random numbers stay.

    Args:
        mask: (H, W), fewer than 2**32 pixels.
        classes: K.
        at_most: places kept of a class.
        row: the mask's number in its pack, by which places are drawn.

    Returns:
        K arrays.
    """
    generator = numpy_generator("class places", row)
    flat = mask.ravel()
    numbers = [np.empty(0) for _ in range(classes)]
    places: list[Places] = [np.empty(0, np.uint32) for _ in range(classes)]
    for start in range(0, flat.size, _STRIP_PIXELS):
        strip = flat[start : start + _STRIP_PIXELS]
        drawn = generator.random(strip.size)
        for index in np.flatnonzero(np.bincount(strip, minlength=256)[:classes]):
            found = np.flatnonzero(strip == index)
            joined = np.concatenate([numbers[index], drawn[found]])
            positions = np.concatenate([places[index], (found + start).astype(np.uint32)])
            kept = np.argpartition(joined, at_most - 1)[:at_most] if joined.size > at_most else slice(None)
            numbers[index], places[index] = joined[kept], positions[kept]
    return [np.sort(some) for some in places]
