"""The S-layers of LeNet-5: pooling that learns how strongly it counts."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TrainableSubsampling(nn.Module):
    """Per map: coefficient * (sum of 2 x 2 pixels) + bias, at stride 2; two parameters a map.

    It starts as the mean: coefficient 1/4, bias 0.

    Args:
        channels: C, maps that come in and go out.

    Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86 (1998), section II.B.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((channels,), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H // 2, W // 2)."""
        sums = 4 * F.avg_pool2d(maps, 2)
        return self.coefficient[:, None, None] * sums + self.bias[:, None, None]
