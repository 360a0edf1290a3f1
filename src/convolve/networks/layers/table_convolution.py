"""A convolution whose output maps each see only some of the input maps."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TableConvolution(nn.Module):
    """A k x k convolution with one kernel for every link of a connection table, and one bias a map.

    Only the kernels that exist are parameters: no mask can be forgotten, and they are counted as the paper counts.
    Weights start as He et al. (ICCV 2015) draw them for rectifiers.

    Args:
        inputs: C, input maps.
        table: for each output map the input maps it sees.
        kernel: k.
        bias: whether each output map has a bias.

    Attributes:
        weight: (L, k, k), one kernel a link, in the order of the table.
        fan_in: (L,) how many weights the output map of each link has.
    """

    fan_in: Tensor
    links: Tensor

    def __init__(self, inputs: int, table: Sequence[Sequence[int]], *, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.shape = (len(table), inputs, kernel, kernel)
        links = [output * inputs + index for output, seen in enumerate(table) for index in seen]
        fan_in = [float(len(seen) * kernel**2) for seen in table for _ in seen]
        self.register_buffer("links", torch.tensor(links), persistent=False)
        self.register_buffer("fan_in", torch.tensor(fan_in), persistent=False)
        self.weight = nn.Parameter(torch.randn(len(links), kernel, kernel) * (2 / self.fan_in).sqrt()[:, None, None])
        self.bias = nn.Parameter(torch.zeros(len(table))) if bias else None

    def dense_weight(self) -> Tensor:
        """(K, C, k, k): the weights of the full convolution that does the same, zero where there is no link."""
        outputs, inputs, kernel, _ = self.shape
        empty = self.weight.new_zeros(outputs * inputs, kernel, kernel)
        return empty.index_copy(0, self.links, self.weight).view(self.shape)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, K, H - k + 1, W - k + 1)."""
        return F.conv2d(maps, self.dense_weight(), self.bias)
