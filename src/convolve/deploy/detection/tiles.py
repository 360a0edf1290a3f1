"""Where the overlapping tiles of a large image lie, and which of them answers for which place.

Half of what two neighbours share belongs to either: the cores of all tiles cover the image, and none overlap. A box
counts where its centre lies in the core of the tile that found it. So an object no longer than the overlap is whole in
the tile that answers for it. Tiles begin at multiples of a step that is a multiple of the network's stride and of the
padding: every pixel has the same place on the network's grids as in the whole image, and the image's right and lower
edges are as far from the padding's end.

With an overlap of the largest object and twice the network's reach, boxes are those of the whole image. Two exceptions:
the network's limits on the number of boxes and of its own proposals hold for a tile; and whether a box next to a seam
goes may hang, by a chain of boxes that suppress each other, on one that only the neighbour sees. Objects longer than
the overlap may come out in two parts: give larger tiles, or a smaller input.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tile:
    """A window of the image, pixels.

    Attributes:
        top, left, bottom, right: what the network sees.
        core: left, top, right, bottom of what it answers for; the right and lower border are not part of it.
    """

    top: int
    left: int
    bottom: int
    right: int
    core: tuple[float, float, float, float]

    def answers_for(self, boxes: Tensor) -> Tensor:
        """(M,) bool: whose centres lie in the core, of boxes (M, 4) in the image's pixels."""
        x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).unbind(dim=1)
        left, top, right, bottom = self.core
        inside: Tensor = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        return inside

    @property
    def origin(self) -> Tensor:
        """(4,) left, top, left, top: what boxes in the tile's pixels lack to be in the image's."""
        return torch.tensor((self.left, self.top) * 2, dtype=torch.float32)


def plan_tiles(hw: tuple[int, int], *, side: int, overlap: int, step: int) -> tuple[Tile, ...]:
    """Cut an image into tiles, from the top, from the left; an image no larger than a tile is one.

    Args:
        hw: height and width of the image, pixels.
        side: an axis up to it is not cut, pixels; along others tiles have this side, made a multiple of the step and at
            least two of them.
        overlap: what neighbours share at least, pixels; at most half a tile.
        step: tiles begin at its multiples, pixels.
    """
    cut = max(side // step, 2) * step
    rows, columns = (
        (_Span(0, length, (0, length)),)
        if length <= max(side, cut)
        else _spans(length, cut, min(overlap, cut // 2), step)
        for length in hw
    )
    return tuple(
        Tile(row.start, column.start, row.stop, column.stop, (column.core[0], row.core[0], column.core[1], row.core[1]))
        for row in rows
        for column in columns
    )


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    stop: int
    core: tuple[float, float]


def _spans(length: int, side: int, overlap: int, step: int) -> tuple[_Span, ...]:
    """Tiles along one axis; the last one is moved towards the start until it is (nearly) whole."""
    advance = (side - overlap) // step * step
    last = -(-(length - side) // step) * step
    starts = [*range(0, last, advance), last]
    stops = [min(start + side, length) for start in starts]
    middles = [(stop + start) / 2 for stop, start in zip(stops[:-1], starts[1:], strict=True)]
    cores = pairwise([0, *middles, length])
    return tuple(_Span(*ends) for ends in zip(starts, stops, cores, strict=True))
