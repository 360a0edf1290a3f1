"""Reference boxes at every place of a map, and which map has which."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from convolve.networks.layers.bilinear_upsampling import Lattice

# Of an anchor's side by the stride of its map: Lin et al. (CVPR 2017) give 32 pixels to stride 4, and so on.
_SIDE_BY_STRIDE = 8


@dataclass(frozen=True, kw_only=True)
class AnchorShapes:
    """The shapes of all anchors.

    Attributes:
        sizes: square roots of their areas, pixels of the network's input.
        ratios: heights by widths; every size comes in every ratio.
    """

    sizes: tuple[float, ...]
    ratios: tuple[float, ...]


def sizes_of_levels(sizes: Sequence[float], strides: Sequence[int]) -> list[list[float]]:
    """For each map, finest first, the sizes that are its: each size goes where it is nearest to eight strides."""
    chosen: list[list[float]] = [[] for _ in strides]
    for size in sorted(sizes):
        distances = [abs(math.log(size / (_SIDE_BY_STRIDE * stride))) for stride in strides]
        chosen[distances.index(min(distances))].append(size)
    return chosen


def base_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """(A, 4) float32 boxes around (0, 0), all ratios of the first size first."""
    sides = [(size / math.sqrt(ratio), size * math.sqrt(ratio)) for size in sizes for ratio in ratios]
    widths, heights = torch.tensor(sides, dtype=torch.float32).reshape(-1, 2).unbind(dim=1)
    return torch.stack((-widths, -heights, widths, heights), dim=1) / 2


def centred_within(anchors: Tensor, hw: Tensor) -> Tensor:
    """(..., M) whether the centres of anchors (M, 4) are on the content of images of (..., 2) height and width."""
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    return ((centres >= 0) & (centres < hw.flip(-1))).all(dim=-1)


def place_anchors(base: Tensor, lattice: Lattice, hw: tuple[int, int]) -> Tensor:
    """(h * w * A, 4) float32: the (A, 4) base anchors at each unit of a map, row by row.

    Args:
        base: around (0, 0).
        lattice: where the map's units lie on the image; a unit at pixel p is at p + 1/2 in continuous coordinates.
        hw: of the map.
    """
    y, x = (lattice.centre + 0.5 + lattice.stride * torch.arange(size, device=base.device) for size in hw)
    centres = torch.stack((x.repeat(hw[0]), y.repeat_interleave(hw[1])), dim=1).to(base)
    return (centres.repeat(1, 2)[:, None] + base).reshape(-1, 4)
