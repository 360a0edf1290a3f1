"""Masks that are stored as shapes: whether a shape is sound, and all of them drawn into an index mask.

What a polygon covers is COCO's decision, not a general graphics library's: its pixels are those that
`pycocotools.mask.frPyObjects` gives, where corners are rounded to fifths of a pixel and the border belongs half to the
object. Run lengths are COCO's too (Lin et al., "Microsoft COCO", ECCV 2014, and `maskApi.c` of its tools).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import IGNORE, Outline, Outlines
from convolve.data.decoding import MAX_PIXELS

MIN_NUMBERS = 6
"""x and y of the fewest corners that enclose anything."""

_MAX_LENGTH = 4_000_000  # the drawing takes some 50 bytes a pixel of outline, so this is what bounds its memory
_ROUNDING = 1.0  # tools overshoot the border by up to a pixel, and nothing is lost
_FIRST_CHARACTER = 48
_MOST_CHARACTERS = 7  # of 5 bits each: counts below 2 ** 34, far above MAX_PIXELS


def draw_outlines(outlines: Outlines) -> NDArray[np.uint8]:
    """The mask that shapes on a background make; where they overlap, the later one is on top.

    Returns:
        (H, W) uint8: class indices, `IGNORE` where a shape's index or the background is None.

    Raises:
        ValueError: the size is out of bounds, or a shape is not sound (see `outline_fault`).
    """
    height, width = outlines.hw
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"a mask of {height} x {width} pixels: 1 to {MAX_PIXELS / 1e6:g} megapixels can be drawn")
    # Runs go down the columns, so the mask is painted as one long column and stood up at the end.
    pixels = np.full(height * width, _value(outlines.background), np.uint8)
    for shape in outlines.shapes:
        if fault := outline_fault(shape, outlines.hw):
            raise ValueError(fault)
        for runs in _runs(shape, outlines.hw):
            edges = np.cumsum(runs).tolist()
            for start, end in zip(edges[0::2], edges[1::2], strict=False):  # the last run may lie outside
                pixels[start:end] = _value(shape.index)
    return np.ascontiguousarray(pixels.reshape(width, height).T)


def outline_fault(outline: Outline, hw: tuple[int, int]) -> str:
    """What is wrong with a shape on an image of this height and width, in the user's words; empty if it is sound.

    A polygon needs three corners or more, finite and no farther from the image than its own width and height: what
    lies farther away was measured on another image. Runs are not negative and add up to the number of pixels.
    """
    if outline.runs:
        return _runs_fault(outline.runs, hw)
    faults = (_polygon_fault(np.asarray(polygon, np.float64), hw) for polygon in outline.polygons)
    return next(filter(None, faults), "")


def reaches_out(outline: Outline, hw: tuple[int, int]) -> bool:
    """Whether a sound shape lies in part outside the image, by more than rounding; that part is not drawn."""
    height, width = hw
    for polygon in outline.polygons:
        if (
            min(polygon) < -_ROUNDING
            or max(polygon[0::2]) > width + _ROUNDING
            or max(polygon[1::2]) > height + _ROUNDING
        ):
            return True
    return False


def outline_area(outline: Outline) -> float:
    """About how many pixels a sound shape covers: exact for runs, the enclosed areas' sum for polygons."""
    if outline.runs:
        return float(sum(outline.runs[1::2]))
    return sum(_enclosed(np.asarray(polygon, np.float64).reshape(-1, 2)) for polygon in outline.polygons)


def decode_counts(text: str) -> tuple[int, ...]:
    """Run lengths out of COCO's compressed string.

    Each count takes one to seven characters of 5 bits, the lowest first, with a sign in the last and a mark in all that
    have a successor. From the fourth count on it is the difference to the count two before (`rleFrString` in
    `maskApi.c`).

    Raises:
        ValueError: it is no such string.

    >>> decode_counts("52203")
    (5, 2, 2, 2, 5)
    """
    codes = np.array([ord(character) for character in text], np.int64) - _FIRST_CHARACTER
    if codes.size == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("its compressed run lengths are damaged")
    last = np.flatnonzero((codes & 32) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    characters = last - first + 1
    if characters.max() > _MOST_CHARACTERS:
        raise ValueError("its compressed run lengths are damaged: a count is too large")
    place = np.arange(codes.size) - np.repeat(first, characters)
    counts = np.add.reduceat((codes & 31) << (5 * place), first)
    counts -= np.where(codes[last] & 16, 1 << (5 * characters), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return tuple(counts.tolist())


def _value(index: int | None) -> int:
    return IGNORE if index is None else index


def _runs(outline: Outline, hw: tuple[int, int]) -> Iterator[tuple[int, ...]]:
    """The shape's run lengths, those of each polygon after another."""
    if outline.runs:
        yield outline.runs
    if outline.polygons:
        # Here, since most data sets have no outlines and the library loads more than this function.
        from faster_coco_eval.core.mask import frPyObjects

        polygons = [list(polygon) for polygon in outline.polygons]
        for encoded in frPyObjects(polygons, *hw):
            yield decode_counts(encoded["counts"].decode("ascii"))


def _runs_fault(runs: tuple[int, ...], hw: tuple[int, int]) -> str:
    if min(runs) < 0:
        return "it has a negative run length"
    total, pixels = sum(runs), hw[0] * hw[1]
    return "" if total == pixels else f"its run lengths add up to {total:,}, not to the image's {pixels:,} pixels"


def _polygon_fault(numbers: NDArray[np.float64], hw: tuple[int, int]) -> str:
    if numbers.size % 2:
        return f"a polygon has {numbers.size} numbers, an odd count: they must be x, y, x, y, ..."
    if numbers.size < MIN_NUMBERS:
        return "a polygon has fewer than three corners"
    if not np.isfinite(numbers).all():
        return "a polygon has a corner that is not finite"
    corners = numbers.reshape(-1, 2)
    side = np.array([hw[1], hw[0]], np.float64)
    if (corners < -side).any() or (corners > 2 * side).any():
        return f"a polygon lies far outside the image of {hw[1]} x {hw[0]} pixels"
    steps = np.abs(corners[1:] - corners[:-1]).max(axis=1)  # the closing one is at most three sides long
    return "" if steps.sum() <= _MAX_LENGTH else f"a polygon is over {_MAX_LENGTH:,} pixels long"


def _enclosed(corners: NDArray[np.float64]) -> float:
    """The area of a polygon (N, 2) by the shoelace formula."""
    x, y = corners.T
    inner = x[:-1] @ y[1:] - y[:-1] @ x[1:]
    return float(abs(inner + x[-1] * y[0] - y[-1] * x[0]) / 2)
