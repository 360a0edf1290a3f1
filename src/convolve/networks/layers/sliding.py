"""Layers that compute, at every place of a larger map, what another layer computes on a patch: with its own weights.

Each holds the layer that it stands for and reads the weights from there, so training one trains the other. All are for
prediction: normalisation uses the running averages, whatever the mode.
"""

from dataclasses import dataclass
from functools import reduce
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """What a convolution or pooling sees and how it moves; rows first, then columns.

    Attributes:
        kernel: height and width.
        stride: units from one position to the next.
        padding: units added around the map.
        dilation: units from one element of the kernel to the next.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    def on_every_place(self, jump: Pair) -> "Window":
        """The same window on a map in which neighbouring units of a patch lie `jump` apart, moved by one place."""
        return Window(
            kernel=self.kernel,
            padding=(self.padding[0] * jump[0], self.padding[1] * jump[1]),
            dilation=(self.dilation[0] * jump[0], self.dilation[1] * jump[1]),
        )


class SlidingConvolution(nn.Module):
    """A convolution with the weights of `layer`, moved over the map by `window`."""

    def __init__(self, layer: nn.Conv2d, window: Window) -> None:
        super().__init__()
        self.layer = layer
        self.window = window

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H', W')."""
        moved = (self.window.stride, self.window.padding, self.window.dilation)
        return F.conv2d(maps, self.layer.weight, self.layer.bias, *moved, self.layer.groups)


class SlidingLinear(nn.Module):
    """A fully connected layer on C maps of h x w units, as a convolution with an h x w kernel.

    Source: Sermanet et al., "OverFeat", ICLR 2014, section 3.5.
    """

    def __init__(self, layer: nn.Linear, window: Window) -> None:
        super().__init__()
        self.layer = layer
        self.window = window

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H', W')."""
        # Flattening runs over channels first, then rows, then columns: the order of a kernel in memory.
        kernel = self.layer.weight.view(self.layer.out_features, -1, *self.window.kernel)
        return F.conv2d(maps, kernel, self.layer.bias, dilation=self.window.dilation)


class SlidingMaximum(nn.Module):
    """Max-pooling moved over the map by `window`."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = window

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        window = self.window
        if window.stride != (1, 1):
            return F.max_pool2d(maps, window.kernel, window.stride, window.padding, window.dilation)
        (height, width), (top, left) = window.kernel, window.padding
        if top or left:
            maps = F.pad(maps, (left, left, top, top), value=-torch.inf)
        # Rows, then columns: 2k instead of k^2 comparisons, and each of them runs over the map in its order in memory.
        return _largest(_largest(maps, 2, height, window.dilation[0]), 3, width, window.dilation[1])


def _largest(maps: Tensor, axis: int, count: int, step: int) -> Tensor:
    length = maps.shape[axis] - (count - 1) * step
    return reduce(torch.maximum, (maps.narrow(axis, number * step, length) for number in range(count)))


class SlidingMean(nn.Module):
    """Mean-pooling moved over the map by `window`; what is padded counts as zeros."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = window

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        window, channels = self.window, maps.shape[1]
        kernel = maps.new_full((channels, 1, *window.kernel), 1 / prod(window.kernel))
        return F.conv2d(maps, kernel, None, window.stride, window.padding, window.dilation, channels)


class SlidingNormalisation(nn.Module):
    """Batch normalisation by running averages, of features or of maps."""

    def __init__(self, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        layer = self.layer
        return F.batch_norm(
            maps, layer.running_mean, layer.running_var, layer.weight, layer.bias, training=False, eps=layer.eps
        )


class SlidingDropout(nn.Module):
    """Dropout of single units, never in place, so that what goes in can be drawn from again."""

    def __init__(self, layer: nn.Dropout) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, maps: Tensor) -> Tensor:
        """Any shape -> the same."""
        return F.dropout(maps, self.layer.p, self.layer.training)


class Subsampling(nn.Module):
    """Every stride-th unit of a map."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = window

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride))."""
        return maps[:, :, :: self.window.stride[0], :: self.window.stride[1]]
