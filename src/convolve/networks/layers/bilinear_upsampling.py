"""Maps on a finer lattice: bilinear, with every value put over the pixels that it belongs to.

Networks with odd kernels and stride s have the centres of their units at pixels 0, s, 2s, ...; pools as in VGG begin at
(s - 1) / 2, and TensorFlow's padding at s - 1. Upsampling that does not ask moves a mask of stride 32 by up to 31 px.
"""

from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Lattice:
    """Where the units of a map lie on the image, the same along both axes.

    Attributes:
        stride: pixels from one unit to the next.
        centre: pixel on which unit 0 is centred; pixels are 0, 1, 2, ...
    """

    stride: int
    centre: float

    def finer(self, factor: int) -> "Lattice":
        """That of all that a transposed convolution with the kernel of `bilinear_kernel(factor)` gives, nothing cut."""
        stride = self.stride // factor
        return Lattice(stride, self.centre - stride * (len(bilinear_kernel(factor)) - 1) / 2)

    def place_on(self, fine: "Lattice") -> tuple[int, float]:
        """(factor, index): one unit is `factor` units of `fine`, and unit 0 lies at that index of it.

        Raises:
            ValueError: the factor is no integer, or neither the index nor twice it is one.
        """
        factor, rest = divmod(self.stride, fine.stride)
        index = (self.centre - fine.centre) / fine.stride
        if rest or not (2 * index).is_integer() or (factor % 2 and not index.is_integer()):
            raise ValueError(f"{self} cannot be laid on {fine}")
        return factor, index


PIXELS = Lattice(1, 0.0)


def bilinear_kernel(factor: int, *, centred: bool = False) -> Tensor:
    """Weights (k,) of linear interpolation by a transposed convolution of stride `factor`; its outer product for maps.

    Args:
        factor: f >= 1.
        centred: k = 2f - 1, whose middle lies on a unit; else k = 2f - f mod 2, so for even factors between two.

    Source: Long, Shelhamer and Darrell, CVPR 2015, section 3.3, and the `upsample_filt` of its authors' code.

    >>> bilinear_kernel(2)
    tensor([0.2500, 0.7500, 0.7500, 0.2500])
    """
    size = 2 * factor - (1 if centred else factor % 2)
    return 1 - (torch.arange(size) - (size - 1) / 2).abs() / factor


class FixedUpsampling(nn.Module):
    """Bilinear interpolation from one lattice to a finer one; beyond the outermost centres values stay as they are.

    Args:
        coarse: of what comes in.
        fine: of what goes out.

    Raises:
        ValueError: see `Lattice.place_on`.
    """

    def __init__(self, coarse: Lattice, fine: Lattice) -> None:
        super().__init__()
        self.factor, self.index = coarse.place_on(fine)

    def forward(self, maps: Tensor, hw: tuple[int, int]) -> Tensor:
        """(N, C, h, w) -> (N, C, H, W), (H, W) = hw."""
        factor = self.factor
        on_units = self.index.is_integer()
        # Where torch's two kinds of interpolation have unit 0: at their first value, or half a factor from the edge.
        index = 0.0 if on_units else (factor - 1) / 2
        (top, bottom), (left, right) = (
            _margins(length, out, factor, self.index - index, index)
            for length, out in zip(maps.shape[2:], hw, strict=True)
        )
        maps = _continued(maps, (left, right, top, bottom))
        if on_units:
            size = [factor * (length - 1) + 1 for length in maps.shape[2:]]
            fine = F.interpolate(maps, size=size, mode="bilinear", align_corners=True)
        else:
            fine = F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)
        first = [int(before * factor + index - self.index) for before in (top, left)]
        return fine[:, :, first[0] : first[0] + hw[0], first[1] : first[1] + hw[1]]


class TransposedUpsampling(nn.Module):
    """A transposed convolution for each class by itself that begins as bilinear interpolation.

    Args:
        classes: K.
        coarse: of what comes in.
        fine: of what goes out.
        learned: whether the kernels are trained.
        continued: go on beyond the outermost centres with the values there; else they fade to 0, as in the paper.

    Raises:
        ValueError: see `Lattice.place_on`.
    """

    weight: Tensor

    def __init__(
        self, classes: int, coarse: Lattice, fine: Lattice, *, learned: bool = True, continued: bool = True
    ) -> None:
        super().__init__()
        self.factor, self.index = coarse.place_on(fine)
        self.continued = continued
        kernel = bilinear_kernel(self.factor, centred=self.index.is_integer())
        weight = torch.outer(kernel, kernel).repeat(classes, 1, 1, 1)
        if learned:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight, persistent=False)

    def forward(self, maps: Tensor, hw: tuple[int, int]) -> Tensor:
        """(N, K, h, w) -> (N, K, H, W), (H, W) = hw."""
        factor = self.factor
        middle = (self.weight.shape[2] - 1) / 2
        margins = [(0, 0), (0, 0)]
        if self.continued:
            margins = [
                _margins(length, out, factor, self.index, 0.0) for length, out in zip(maps.shape[2:], hw, strict=True)
            ]
        (top, bottom), (left, right) = margins
        maps = _continued(maps, (left, right, top, bottom))
        fine = F.conv_transpose2d(maps, self.weight, stride=factor, groups=len(self.weight))
        first = [int(before * factor + middle - self.index) for before in (top, left)]
        return fine[:, :, first[0] : first[0] + hw[0], first[1] : first[1] + hw[1]]


def _margins(length: int, out: int, factor: int, index: float, beyond: float) -> tuple[int, int]:
    """Units that are missing before and after, so that each of `out` finer ones has a unit on either side.

    Args:
        length: units.
        out: finer units.
        factor: of them in one unit.
        index: of the first unit among them.
        beyond: finer units from an outermost centre that need no unit on their other side.
    """
    before = ceil(index / factor)
    after = ceil((out - 1 - index - 2 * beyond) / factor) - (length - 1)
    return max(before, 0), max(after, 0)


def _continued(maps: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    return F.pad(maps, margins, mode="replicate") if any(margins) else maps
