"""The part of the shared maps that shows a region, at one size."""

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align, roi_pool

from convolve.networks.detection.precision import in_full
from convolve.networks.layers.bilinear_upsampling import Lattice

Pooling = Literal["roi_pool", "roi_align"]

_SAMPLES = 2
"""Points of each bin along each axis that are interpolated (He et al., ICCV 2017, 3)."""

_UNITS_OF_A_REGION = 14
"""Side of a region on the map that it is read from: two units a bin. Lin et al. (CVPR 2017, equation 1) have 14 to 28,
for images of 800 pixels; half of that keeps more of the small objects of small images, at the same cost."""


class RegionFeatures(Protocol):
    """How a region's features are read."""

    def __call__(self, maps: tuple[Tensor, ...], image_hw: tuple[int, int], boxes: Sequence[Tensor]) -> Tensor:
        """(R, D, s, s) features of all boxes, image by image.

        Args:
            maps: (N, D, h, w) each, finest first.
            image_hw: of the batch's images, padding included, pixels.
            boxes: (R_n, 4) of each image, pixels, within it; R = sum of all R_n, may be 0.
        """


class PooledFeatures(nn.Module):
    """Features of regions from the shared maps, each region from the map whose units suit its size.

    - roi_pool: the largest value of each bin. The region goes from the unit nearest to its first pixel to the one
      nearest to its last, and bins are whole units (Girshick, ICCV 2015, 2.1).
    - roi_align: the mean of 2 x 2 interpolated points in each bin, nothing rounded (He et al., ICCV 2017, 3).

    Both count from where the units' centres really are: torchvision takes unit 0 to be centred on (stride - 1) / 2, and
    with maps of odd kernels, whose unit 0 is centred on pixel 0, would read half a unit off.

    Args:
        lattices: where the units of the maps lie on the image, finest first.
        pooling: which.
        bins: s, along each axis.
    """

    def __init__(self, lattices: Sequence[Lattice], *, pooling: Pooling, bins: int = 7) -> None:
        super().__init__()
        self.lattices = tuple(lattices)
        self.pooling = pooling
        self.bins = bins

    def forward(self, maps: tuple[Tensor, ...], image_hw: tuple[int, int], boxes: Sequence[Tensor]) -> Tensor:
        """See `RegionFeatures`."""
        numbers = torch.arange(len(boxes), device=boxes[0].device).repeat_interleave(
            torch.tensor([len(some) for some in boxes], device=boxes[0].device)
        )
        every = torch.cat(list(boxes))
        regions = torch.cat((numbers[:, None].to(every), every), dim=1)
        if len(self.lattices) == 1:
            return self._pooled(maps[0], self.lattices[0], regions)
        levels = nearest_level(every, [lattice.stride for lattice in self.lattices])
        order = levels.argsort(stable=True)
        pieces = [
            self._pooled(level_map, lattice, regions[levels == level])
            for level, (level_map, lattice) in enumerate(zip(maps, self.lattices, strict=True))
        ]
        return torch.cat(pieces)[order.argsort()]

    def _pooled(self, maps: Tensor, lattice: Lattice, regions: Tensor) -> Tensor:
        maps = in_full(maps)
        regions = regions.to(maps.dtype)
        scale = 1 / lattice.stride
        if self.pooling == "roi_align":
            shift = regions.new_tensor((0, *(lattice.stride / 2 - 0.5 - lattice.centre,) * 4))
            found: Tensor = roi_align(maps, regions + shift, self.bins, scale, _SAMPLES, aligned=True)
        else:
            # The last pixel of a box that ends at x is x - 1.
            shift = regions.new_tensor((0, *(-lattice.centre,) * 2, *(-lattice.centre - 1,) * 2))
            found = roi_pool(maps, regions + shift, self.bins, scale)
        return found


def nearest_level(boxes: Tensor, strides: Sequence[int]) -> Tensor:
    """(R,) int64: for each box (R, 4) the map on which its side, the root of its area, is nearest to 14 units."""
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3).prod(dim=1).sqrt()
    wanted = (sides / _UNITS_OF_A_REGION).log2()
    own = wanted.new_tensor([math.log2(stride) for stride in strides])
    return (wanted[:, None] - own).abs().argmin(dim=1)
