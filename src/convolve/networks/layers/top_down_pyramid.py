"""Maps of all resolutions that know what the coarsest knows."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from convolve.networks.layers.bilinear_upsampling import FixedUpsampling, Lattice


class TopDownPyramid(nn.Module):
    """Each map of a backbone, brought to one width, plus the coarser one laid on it, then a 3 x 3 convolution.

    There is no normalisation, as in the paper: statistics of batches of 2 to 4 images are noise, and those of one image
    (group normalisation) would make every place depend on the whole image and on its padding, so that tiles of a large
    image would give other boxes than the image. Upsampling is bilinear by the units' places (the paper: nearest, which
    moves maps by half a unit).

    Lin, Dollar, Girshick, He, Hariharan and Belongie, "Feature pyramid networks for object detection", CVPR 2017, 3.

    Args:
        channels: of the backbone's maps, finest first.
        lattices: where their units lie on the image.
        width: channels that come out, of every map.

    Raises:
        ValueError: the lattices cannot be laid on each other (`Lattice.place_on`).
    """

    def __init__(self, channels: Sequence[int], lattices: Sequence[Lattice], *, width: int) -> None:
        super().__init__()
        self.width = width
        self.laterals = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.upsamplings = nn.ModuleList(FixedUpsampling(coarse, fine) for fine, coarse in pairwise(lattices))
        self.smoothings = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        for layer in (*self.laterals, *self.smoothings):
            # No rectifiers between them, so a gain of 1 keeps the variance.
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (N, C_l, h_l, w_l), finest first -> maps (N, width, h_l, w_l)."""
        merged = [lateral(level) for lateral, level in zip(self.laterals, maps, strict=True)]
        for place in reversed(range(len(merged) - 1)):
            fine = merged[place]
            merged[place] = fine + self.upsamplings[place](merged[place + 1], (fine.shape[2], fine.shape[3]))
        return tuple(smooth(level) for smooth, level in zip(self.smoothings, merged, strict=True))


def top_down_reach(reach: Sequence[int | None], spread: Sequence[int], strides: Sequence[int]) -> int | None:
    """Pixels from a unit's centre to the farthest pixel that it sees, the largest of all maps; None = no bound.

    Args:
        reach: of the backbone's maps, finest first.
        spread: of each, pixels from a place to the farthest unit that its value is interpolated from.
        strides: of each.
    """
    farthest, coarser = 0, 0
    for own, wide, stride in reversed(list(zip(reach, spread, strides, strict=True))):
        if own is None:
            return None
        coarser = max(own, coarser)
        farthest = max(farthest, coarser + stride)
        coarser += wide
    return farthest
