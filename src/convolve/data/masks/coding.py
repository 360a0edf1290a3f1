"""From a mask as it is stored to the class of every pixel."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import IGNORE, Mask, MaskCoding, Outlines
from convolve.data.decoding import BrokenImage
from convolve.data.masks.outlines import draw_outlines
from convolve.data.masks.values import AS_GREY, Colour, MaskValues, Numbers, pack_colour, read_values, unpack_colour

Value: TypeAlias = int | Colour
"""A number, or a colour (r, g, b), by the coding's kind."""

_UNDECLARED = 254
_NUMBERS = 1 << 16
_COLOURS = 1 << 24


@dataclass(frozen=True, slots=True)
class DecodedMask:
    """The class of every pixel.

    Attributes:
        classes: (H, W) uint8, indices into `Dataset.classes`, or `IGNORE`.
        undeclared: pixels of each value that the coding does not know; they are ignored.
    """

    classes: NDArray[np.uint8]
    undeclared: dict[Value, int]


def decode_mask(mask: Mask, coding: MaskCoding, *, hw: tuple[int, int] | None) -> DecodedMask:
    """The class of every pixel of a mask.

    Args:
        mask: a file, an array, or shapes; shapes' class numbers are values of an index coding.
        coding: what values mean.
        hw: height and width of the upright image; None where they are not to be compared.

    Raises:
        BrokenImage: it cannot be read, has another size than its image, or holds colours where numbers are expected;
            the message says why.
    """
    if isinstance(mask.source, Outlines):
        values = drawn(mask.source)
    else:
        stored = read_values(mask.source)
        values = numbers_of(stored) if coding.kind == "index" else colours_of(stored)
    if hw is not None and values.shape != hw:
        (height, width), (image_height, image_width) = values.shape, hw
        raise BrokenImage(f"the mask has {width} x {height} pixels and the image {image_width} x {image_height}")
    table = _lookup(coding)
    classes = table[_within(values, len(table))]
    unknown = classes == _UNDECLARED
    if not unknown.any():
        return DecodedMask(classes, {})
    found, pixels = np.unique(values[unknown], return_counts=True)
    classes[unknown] = IGNORE
    keys: list[Value] = found.tolist() if coding.kind == "index" else [unpack_colour(value) for value in found.tolist()]
    counts = dict(zip(keys, pixels.tolist(), strict=True))
    if isinstance(mask.source, Outlines):
        counts.pop(IGNORE, None)
    return DecodedMask(classes, counts)


def drawn(outlines: Outlines) -> Numbers:
    """(H, W) class numbers of shapes, `IGNORE` where they say so.

    Raises:
        BrokenImage: a shape is not sound.
    """
    try:
        return draw_outlines(outlines)
    except ValueError as error:
        raise BrokenImage(str(error)) from error


def plain(value: Value) -> int:
    """A value as arrays have it: a number as it is, a colour as 0xRRGGBB."""
    return value if isinstance(value, int) else pack_colour(value)


def class_of_values(coding: MaskCoding) -> dict[int, int]:
    """The class of each plain value that has one."""
    rows: tuple[tuple[Value, ...], ...] = coding.values
    return {plain(value): index for index, values in enumerate(rows) for value in values}


def numbers_of(stored: MaskValues) -> Numbers:
    """(H, W) numbers of a mask: grey, the palette's number, or colours that are grey.

    Raises:
        BrokenImage: it holds colours.
    """
    if stored.storage != "colour":
        return stored.values
    if not is_grey(stored.values).all():
        raise BrokenImage("it holds colours, where numbers are expected")
    return (stored.values & 255).astype(np.uint8)


def colours_of(stored: MaskValues) -> Numbers:
    """(H, W) colours 0xRRGGBB of a mask: stored ones, its palette's, or its grey values'.

    Raises:
        BrokenImage: its grey values have more than 8 bits.
    """
    if stored.palette is not None:
        return stored.palette[stored.values]
    if stored.storage == "colour":
        return stored.values
    if stored.values.dtype != np.uint8:
        raise BrokenImage("it holds 16-bit numbers, where colours are expected")
    return stored.values.astype(np.int32) * AS_GREY


def is_grey(packed: Numbers) -> NDArray[np.bool_]:
    """Whether the parts of 0xRRGGBB are equal, for each element."""
    grey: NDArray[np.bool_] = (packed & 255).astype(np.int32) * AS_GREY == packed
    return grey


def _within(values: Numbers, size: int) -> Numbers:
    """Values as positions in a table of this size whose last place is for all that lie outside."""
    if values.dtype == np.int32 and size <= _NUMBERS + 1:
        return np.where((values < 0) | (values >= size), size - 1, values)
    return values


@lru_cache(maxsize=4)  # a table of colours is 16 MB
def _lookup(coding: MaskCoding) -> NDArray[np.uint8]:
    table = np.full(_NUMBERS + 1 if coding.kind == "index" else _COLOURS, _UNDECLARED, np.uint8)
    for value in coding.ignored:
        table[plain(value)] = IGNORE
    for value, index in class_of_values(coding).items():
        table[value] = index
    return table
