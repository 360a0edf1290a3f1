"""How the receptive field grows from layer to layer, by arithmetic and by gradients."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convolve.networks.receptive_field import FieldTracker

_WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class Step:
    """A convolution or pooling after which units see farther.

    Attributes:
        layer: its name within the network.
        side: of the square of pixels that a unit sees, border included.
        jump: pixels from one unit to the next.
    """

    layer: str
    side: int
    jump: int


def growth(network: nn.Module, *, channels: int, image_hw: tuple[int, int]) -> list[Step]:
    """The layers that widen the receptive field, in the order in which they are computed.

    Args:
        network: on the meta device, in test mode.
        channels: of the image.
        image_hw: height and width, pixels.
    """
    image = torch.empty(1, channels, *image_hw, device="meta")
    tracker = FieldTracker(image)
    steps: list[Step] = []

    def note(name: str) -> None:
        field = tracker.last_field
        # A shortcut's 1 x 1 convolution, and a narrower branch, see less than what was there before.
        if field and max(field.sides) > (steps[-1].side if steps else 0):
            steps.append(Step(name, max(field.sides), max(field.jump)))

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, _output, name=name: note(name))
        for name, module in network.named_modules()
        if isinstance(module, _WINDOWED)
    ]
    try:
        with torch.no_grad(), tracker:
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return steps


def side_by_gradient(layers: nn.Sequential, *, side: int) -> int:
    """Side of the square of pixels that have a gradient behind the middle unit of the last map.

    The layers are taken with one channel, all weights 1 and the mean for the maximum, so that no path is lost to a
    zero, a cancellation or a loser.

    Args:
        layers: a chain; convolutions and poolings count, the rest is left out.
        side: of the image, pixels: larger than the field by enough that no border cuts it.
    """
    chain = nn.Sequential(*(_open(layer) for layer in layers if isinstance(layer, _WINDOWED)))
    image = torch.zeros(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    maps: Tensor = chain(image)
    (gradient,) = torch.autograd.grad(maps[0, 0, maps.shape[2] // 2, maps.shape[3] // 2], image)
    rows = gradient[0, 0].abs().sum(dim=1).nonzero()
    return int(rows.max() - rows.min()) + 1


def _open(layer: nn.Module) -> nn.Module:
    """The same window, through which every path has a positive weight."""
    if isinstance(layer, nn.Conv2d):
        conv = deepcopy(layer)
        conv.weight = nn.Parameter(torch.ones(1, 1, *layer.kernel_size, dtype=torch.float64))
        conv.bias, conv.groups = None, 1
        return conv
    if isinstance(layer, nn.MaxPool2d):
        return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode)
    return layer
