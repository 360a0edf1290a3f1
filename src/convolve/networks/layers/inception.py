"""The module of GoogLeNet: four ways from one map to the next, side by side."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class InceptionWidths:
    """Maps of one module, a row of the paper's table 1.

    Attributes:
        direct: out of the 1 x 1 convolution.
        reduced_3, wide_3: out of the 1 x 1 convolution before the 3 x 3 one, and out of that.
        reduced_5, wide_5: likewise of the 5 x 5 convolution.
        pooled: out of the 1 x 1 convolution behind the maximum of 3 x 3.
    """

    direct: int
    reduced_3: int
    wide_3: int
    reduced_5: int
    wide_5: int
    pooled: int

    @property
    def total(self) -> int:
        """Maps that come out of the module."""
        return self.direct + self.wide_3 + self.wide_5 + self.pooled


class Inception(nn.Module):
    """[1 x 1 | 1 x 1 -> 3 x 3 | 1 x 1 -> 5 x 5 | 3 x 3 maximum -> 1 x 1], concatenated in this order.

    A ReLU follows every convolution; torchvision's GoogLeNet has a 3 x 3 convolution where the paper has 5 x 5.

    Args:
        inputs: C.
        widths: of the branches.

    Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015, figure 2(b).
    """

    def __init__(self, inputs: int, widths: InceptionWidths) -> None:
        super().__init__()
        self.direct = rectified_convolution(inputs, widths.direct, 1)
        self.branch_3 = nn.Sequential(
            rectified_convolution(inputs, widths.reduced_3, 1),
            rectified_convolution(widths.reduced_3, widths.wide_3, 3),
        )
        self.branch_5 = nn.Sequential(
            rectified_convolution(inputs, widths.reduced_5, 1),
            rectified_convolution(widths.reduced_5, widths.wide_5, 5),
        )
        self.branch_pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), rectified_convolution(inputs, widths.pooled, 1)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, widths.total, H, W)."""
        branches = (self.direct, self.branch_3, self.branch_5, self.branch_pool)
        return torch.cat([branch(maps) for branch in branches], dim=1)


def rectified_convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size of its maps but for its stride, and a ReLU; `kernel` is odd."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2), nn.ReLU())
