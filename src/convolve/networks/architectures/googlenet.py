"""GoogLeNet as published: nine Inception modules, and two auxiliary classifiers while it is trained."""

from collections import OrderedDict
from typing import Annotated

from pydantic import Field
from torch import nn

from convolve.errors import UserError
from convolve.networks.auxiliaries import Auxiliaries
from convolve.networks.classic import LR_FACTOR
from convolve.networks.initialisation import he_initialise, output_layer
from convolve.networks.layers.inception import Inception, InceptionWidths, rectified_convolution
from convolve.networks.layers.local_response import LocalResponseNorm
from convolve.networks.network import Architecture, Network, register_architecture

MODULES = {
    "3a": InceptionWidths(64, 96, 128, 16, 32, 32),
    "3b": InceptionWidths(128, 128, 192, 32, 96, 64),
    "4a": InceptionWidths(192, 96, 208, 16, 48, 64),
    "4b": InceptionWidths(160, 112, 224, 24, 64, 64),
    "4c": InceptionWidths(128, 128, 256, 24, 64, 64),
    "4d": InceptionWidths(112, 144, 288, 32, 64, 64),
    "4e": InceptionWidths(256, 160, 320, 32, 128, 128),
    "5a": InceptionWidths(256, 160, 320, 32, 128, 128),
    "5b": InceptionWidths(384, 192, 384, 48, 128, 128),
}
"""The paper's table 1."""

_POOLED_AFTER = ("3b", "4e")
_WITH_CLASSIFIER = ("4a", "4d")
_AUXILIARY_WEIGHT = 0.3
_SIDE = 224
_STEM_MAPS = 192


def googlenet(
    outputs: int,
    *,
    channels: int,
    image_hw: tuple[int, int],
    auxiliary: bool = True,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.4,
) -> Network:
    """A stem of three convolutions, nine Inception modules, the mean of each map, K outputs.

    6,998,552 parameters for 1,000 classes of RGB images; while it is trained 6,379,728 more, in two classifiers on the
    modules 4a and 4d, whose losses count 0.3 each. The 5 x 5 convolutions are 5 x 5, and nothing is batch-normalised:
    torchvision's `googlenet` differs in both.

    Args:
        outputs: K.
        channels: C.
        image_hw: (224, 224), which the auxiliary classifiers are made for; without them any size from 32 pixels.
        auxiliary: train with the auxiliary classifiers.
        dropout: probability that one of the 1,024 features is left out of a step of training.

    Raises:
        UserError: the auxiliary classifiers are not made for images of this size.

    Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 5.
    """
    if auxiliary and image_hw != (_SIDE, _SIDE):
        raise UserError(
            f"network 'googlenet': its auxiliary classifiers are made for images of {_SIDE} x {_SIDE} pixels, not "
            f"{image_hw[0]} x {image_hw[1]}",
            f"Set data.image_size={_SIDE}, or leave them out: network.options.auxiliary=false.",
        )
    layers: dict[str, nn.Module] = {
        "conv1": rectified_convolution(channels, 64, 7, stride=2),
        "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),
        "norm1": LocalResponseNorm(),
        "conv2_reduce": rectified_convolution(64, 64, 1),
        "conv2": rectified_convolution(64, _STEM_MAPS, 3),
        "norm2": LocalResponseNorm(),
        "pool2": nn.MaxPool2d(3, stride=2, ceil_mode=True),
    }
    maps, heads = _STEM_MAPS, {}
    for name, widths in MODULES.items():
        layers[f"inception{name}"] = Inception(maps, widths)
        maps = widths.total
        if name in _WITH_CLASSIFIER:
            heads[f"inception{name}"] = _auxiliary_classifier(maps, outputs)
        if name in _POOLED_AFTER:
            layers[f"pool{name[0]}"] = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    layers |= {"mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "drop": nn.Dropout(dropout)}
    backbone = nn.Sequential(OrderedDict(layers))
    he_initialise(backbone)
    auxiliaries = Auxiliaries(heads, weight=_AUXILIARY_WEIGHT) if auxiliary else None
    return Network(backbone, output_layer(maps, outputs), features=maps, auxiliaries=auxiliaries)


def _auxiliary_classifier(maps: int, outputs: int) -> nn.Sequential:
    """(N, maps, 14, 14) -> (N, outputs)."""
    body = nn.Sequential(
        nn.AvgPool2d(5, stride=3),
        rectified_convolution(maps, 128, 1),
        nn.Flatten(),
        nn.Linear(128 * 4 * 4, 1024),
        nn.ReLU(),
        nn.Dropout(0.7),
    )
    he_initialise(body)
    return body.append(output_layer(1024, outputs))


register_architecture(
    Architecture(
        name="googlenet",
        build=googlenet,
        about="GoogLeNet of 2014 as published, trained with its auxiliary classifiers",
        source="Szegedy et al., CVPR 2015, section 5",
        sides=(_SIDE,),
        smallest_side=32,
        scratch_side=_SIDE,
        scratch_lr_factor=LR_FACTOR,
        published_outputs=1000,
    )
)
