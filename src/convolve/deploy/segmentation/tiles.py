"""Where the overlapping tiles of an image of any size lie, and how maps of tiles become maps of the image.

The image's own edges are no borders: there, a tile sees what the network sees of the whole image. Elsewhere what a
network says close to a tile's border is wrong by as much as it misses the pixels beyond. Two cases:

- The network's reach is at most a sixth of the tile's side: of every tile only the pixels farther than the reach from
  its inner borders count. What comes out is what the network says of the whole image, up to rounding.
- It is more, or without bound (attention, global pooling): the margin is cut to a sixteenth of the side and tiles are
  blended over two more, raised-cosine weights against seams. That is an approximation; `TilePlan.exact` says which it
  is. It is a good one, since far pixels weigh little: W. Luo et al., "Understanding the Effective Receptive Field in
  Deep Convolutional Neural Networks", NeurIPS 2016.

Tiles begin at multiples of the network's stride, so that each pixel has the same place on the network's grids in every
tile that shows it. All are of one size, but for those at the image's right and lower edge, which end where it ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_EXACT_UP_TO, _CUT, _BLENDED = 6, 16, 8
"""Parts of a tile's side: the largest margin that is left out; what is left out of it otherwise, and blended."""


@dataclass(frozen=True, slots=True)
class Span:
    """A tile along one axis.

    Attributes:
        start, stop: its pixels, in the image's.
        weights: (stop - start,) float32 >= 0, how much each counts; those of all tiles at one pixel sum to 1.
    """

    start: int
    stop: int
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tile:
    """A window of the image.

    Attributes:
        top, left, height, width: pixels of the image.
        row, column: its place in the grid of tiles.
    """

    top: int
    left: int
    height: int
    width: int
    row: int
    column: int


@dataclass(frozen=True, slots=True)
class TilePlan:
    """The tiles of one image: every one of `rows` with every one of `columns`.

    Attributes:
        rows, columns: from the top, from the left.
        exact: whether their maps are those of the whole image.
    """

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    exact: bool

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the image, pixels."""
        return self.rows[-1].stop, self.columns[-1].stop


def plan_tiles(hw: tuple[int, int], *, side: int, reach: int | None, stride: int, scale: float = 1.0) -> TilePlan:
    """Cut an image into tiles.

    Args:
        hw: height and width of the image, pixels.
        side: of a tile as the network sees it, pixels; raised to six strides, if it is less.
        reach: of the network, see `PixelNetwork`; pixels as the network sees them.
        stride: of the network, likewise.
        scale: pixels the network sees for a pixel of the image. If it is not 1, tiles are exact but for what resampling
            does at the image's edge, and not at all where its fraction puts strides too far apart.
    """
    side = round(side / scale)
    step = _whole_strides(stride, scale)
    aligned = _EXACT_UP_TO * step <= max(side, _EXACT_UP_TO * stride)
    if not aligned:
        step = max(1, round(stride / scale))
    side = max(side // step, _EXACT_UP_TO) * step
    # Resampling looks two pixels beyond, of whichever grid is coarser.
    margin = None if reach is None else reach if scale == 1 else int(np.ceil((reach + 2) / scale)) + 2
    if max(hw) <= side:
        return TilePlan((_whole(hw[0]),), (_whole(hw[1]),), exact=True)
    exact = aligned and margin is not None and _EXACT_UP_TO * margin <= side
    margin, ramp = (margin, 0) if margin is not None and exact else (side // _CUT, side // _BLENDED)
    rows, columns = (_spans(length, side, margin, ramp, step) for length in hw)
    return TilePlan(rows, columns, exact)


def blend_tiles(
    plan: TilePlan, maps_of: Callable[[Tile], Tensor], *, rows_at_once: int
) -> Iterator[tuple[int, Tensor]]:
    """Maps of an image from maps of its tiles, from the top down, in strips over its whole width.

    One row of tiles is in memory at a time. Weights sum to 1, so that what is 1 in all tiles is 1, probabilities stay
    probabilities, and a mean stays a mean.

    Args:
        plan: of the image.
        maps_of: the maps of a tile, (M, height, width) float32; called row by row, from the left.
        rows_at_once: the most rows that a strip may have.

    Yields:
        (top, maps (M, rows, W) float32) of finished strips, which touch and cover the image. A strip is a view that the
        next step overwrites.
    """
    width = plan.hw[1]
    band = torch.empty(0)
    for number, row in enumerate(plan.rows):
        for column_number, column in enumerate(plan.columns):
            tile = Tile(
                row.start, column.start, row.stop - row.start, column.stop - column.start, number, column_number
            )
            maps = maps_of(tile)
            if band.numel() == 0:
                band = torch.zeros(len(maps), max(span.stop - span.start for span in plan.rows), width)
            # One axis after the other in place: a tile's weights are never laid out as a matrix.
            maps = maps * torch.from_numpy(row.weights)[:, None] * torch.from_numpy(column.weights)
            band[:, : tile.height, column.start : column.stop] += maps
        finished = (plan.rows[number + 1].start if number + 1 < len(plan.rows) else row.stop) - row.start
        for top in range(0, finished, rows_at_once):
            yield row.start + top, band[:, top : min(top + rows_at_once, finished)]
        unfinished = row.stop - row.start - finished
        band[:, :unfinished] = band[:, finished : finished + unfinished].clone()
        band[:, unfinished:] = 0


def _whole_strides(stride: int, scale: float) -> int:
    """The fewest pixels of the image that are a whole number of strides for the network."""
    return (stride / Fraction(scale).limit_denominator(1000)).numerator


def _whole(length: int) -> Span:
    return Span(0, length, np.ones(length, np.float32))


def _spans(length: int, side: int, margin: int, ramp: int, step: int) -> tuple[Span, ...]:
    """Tiles along one axis, and their weights.

    Two neighbours share 2 margins and the ramp; the last tile is moved towards the start until it is (nearly) whole.
    """
    if length <= side:
        return (_whole(length),)
    advance = (side - 2 * margin - ramp) // step * step
    last = -(-(length - side) // step) * step
    starts = [*range(0, last, advance), last]
    stops = [min(start + side, length) for start in starts]
    weights = [
        _ramps(np.arange(start, stop), start if start else None, stop if stop < length else None, margin, ramp)
        for start, stop in zip(starts, stops, strict=True)
    ]
    total = np.zeros(length)
    for start, stop, own in zip(starts, stops, weights, strict=True):
        total[start:stop] += own
    return tuple(
        Span(start, stop, (own / total[start:stop]).astype(np.float32))
        for start, stop, own in zip(starts, stops, weights, strict=True)
    )


def _ramps(
    pixels: NDArray[np.int64], start: int | None, stop: int | None, margin: int, ramp: int
) -> NDArray[np.float64]:
    """Raised cosine of the distance from the inner borders: 0 in the margin, above 0 behind it, 1 behind the ramp."""
    weights = np.ones(len(pixels))
    for depth in ([] if start is None else [pixels - start]) + ([] if stop is None else [stop - 1 - pixels]):
        share = np.clip((depth - margin + 1) / (ramp + 1), 0, 1)
        weights *= (1 - np.cos(np.pi * share)) / 2
    return weights
