"""Fully connected layers behind a last map as convolutions, as Long, Shelhamer and Darrell take VGG."""

from collections.abc import Sequence
from itertools import groupby
from math import isqrt

from torch import nn

from convolve.errors import UserError
from convolve.networks.feature_pyramid import FeaturePyramid, map_layers

# conv1_1 pads 100 pixels in the paper, VGG's own 1.
_MARGIN = 99
_POOLS = 5


def convolved_classifier(
    backbone: nn.Module, *, channels: int, image_hw: tuple[int, int], dropout: float
) -> tuple[FeaturePyramid, nn.Sequential]:
    """The maps of every resolution, padded so that fully connected layers keep the size of the last one.

    Args:
        backbone: ends in fully connected layers, whose weights are used.
        channels: C of its images.
        image_hw: a size that it takes, pixels.
        dropout: probability, behind each fully connected layer.

    Returns:
        The pyramid, whose last level goes on with the first fully connected layer; and what follows, from dropout on.

    Raises:
        UserError: it has no maps, or no fully connected layers behind them.
    """
    maps, ends = map_layers(backbone, channels=channels, image_hw=image_hw)
    first, rest = _convolutions(ends, _channels(maps), dropout, padded=True)
    levels = [[layer for layer, _ in group] for _, group in groupby(maps, key=lambda pair: pair[1])]
    levels[-1] += first
    return FeaturePyramid(levels, channels=channels), rest


def paper_pyramid(
    backbone: nn.Module, *, channels: int, image_hw: tuple[int, int], dropout: float
) -> tuple[FeaturePyramid, nn.Sequential]:
    """The same as in the paper's networks: zeros around the image, pools that round up, levels that end in a pool.

    Raises:
        UserError: it is no VGG.
    """
    maps, ends = map_layers(backbone, channels=channels, image_hw=image_hw)
    levels: list[list[nn.Module]] = [[]]
    for layer, _ in maps:
        if isinstance(layer, nn.MaxPool2d):
            levels[-1].append(nn.MaxPool2d(2, ceil_mode=True))
            levels.append([])
        else:
            levels[-1].append(layer)
    if len(levels) != _POOLS + 1 or levels.pop() or maps[-1][1] != 2**_POOLS:
        raise UserError(
            "segment.options.form=paper: this network is no VGG", "Choose torchvision:vgg16, or another form."
        )
    first, rest = _convolutions(ends, _channels(maps), dropout, padded=False)
    levels[-1] += first
    return FeaturePyramid(levels, channels=channels, margin=_MARGIN), rest


def _channels(maps: Sequence[tuple[nn.Module, int]]) -> int:
    return next(layer.out_channels for layer, _ in reversed(maps) if isinstance(layer, nn.Conv2d))


def _convolutions(
    ends: Sequence[nn.Module], channels: int, dropout: float, *, padded: bool
) -> tuple[list[nn.Module], nn.Sequential]:
    """Each fully connected layer as convolution, ReLU, dropout: those before the first dropout, and the rest."""
    connected = [layer for layer in ends if isinstance(layer, nn.Linear)]
    others = [layer for layer in ends if not isinstance(layer, nn.Linear | nn.ReLU | nn.Dropout | nn.Identity)]
    if not connected or any(not isinstance(layer, nn.AdaptiveAvgPool2d | nn.Flatten) for layer in others):
        raise UserError(
            "segment.options.form: this network has no fully connected layers with ReLU behind its maps",
            "Choose form=features, or torchvision:vgg16 or torchvision:alexnet.",
        )
    layers: list[nn.Module] = []
    for layer in connected:
        side = isqrt(layer.in_features // channels)
        padding = side // 2 if padded else 0
        # On the meta device nothing is drawn and nothing is stored: the weights are the layer's.
        convolution = nn.Conv2d(channels, layer.out_features, side, padding=padding, device="meta")
        convolution.weight = nn.Parameter(layer.weight.detach().view(convolution.weight.shape))
        convolution.bias = layer.bias
        layers += [convolution, nn.ReLU(), nn.Dropout(dropout)]
        channels = layer.out_features
    return layers[:2], nn.Sequential(*layers[2:])
