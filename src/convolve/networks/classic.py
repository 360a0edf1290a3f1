"""What the networks of 2012 to 2014 have in common: images of one size, wide fully connected layers, first weights."""

from collections.abc import Collection
from typing import Literal, TypeAlias

from torch import nn

from convolve.errors import UserError
from convolve.networks.initialisation import he_initialise, output_layer

Initialisation: TypeAlias = Literal["he", "paper"]
"""How the first weights are drawn: for rectifiers, or as in the network's paper."""

PAPER_STD = 0.01
"""Of the first weights in the papers of AlexNet, ZFNet and OverFeat."""

LR_FACTOR = 0.2
"""Of the learning rate that batch-normalised networks bear: with SGD, 0.02 for 128 images; AlexNet's paper has 0.01."""

_FAINT_STD = 2e-4


def require_side(name: str, image_hw: tuple[int, int], sides: tuple[int, ...]) -> int:
    """The side of the images, if it is one that a network's fully connected layers are made for.

    Raises:
        UserError: it is not, or they are not square.
    """
    height, width = image_hw
    if height != width or height not in sides:
        made_for = " or ".join(f"{side} x {side}" for side in sides)
        raise UserError(
            f"network '{name}' takes images of {made_for} pixels, not {height} x {width}: its fully connected layers "
            "are made for one size",
            f"Set data.image_size={sides[-1]} (images of any size are fitted into it), or choose network 'residual', "
            "which takes images of any size from 8 pixels.",
        )
    return height


def hidden_layers(inputs: int, widths: tuple[int, ...]) -> dict[str, nn.Module]:
    """Fully connected layers behind five convolutions, half of whose units drop out of a step of training.

    They have the names of Caffe's files: fc6, relu6, drop6, fc7, ...

    Args:
        inputs: features that come in.
        widths: units of each layer.
    """
    layers: dict[str, nn.Module] = {}
    for number, units in enumerate(widths, start=6):
        layers |= {f"fc{number}": nn.Linear(inputs, units), f"relu{number}": nn.ReLU()}
        layers[f"drop{number}"] = nn.Dropout(0.5)
        inputs = units
    return layers


def initialise(backbone: nn.Sequential, how: Initialisation, *, biased: Collection[str] = ()) -> None:
    """Draw the first weights of a backbone.

    The papers' weights were found for their images, in [-128, 128], their million of them, and weeks of training; "he"
    learns within minutes from a few hundred images of variance 1.

    Args:
        backbone: its layers by name.
        how: "he", or N(0, 0.01^2) as in the papers.
        biased: layers whose biases the paper starts at 1, so that their ReLUs pass something at first; else they are 0.
    """
    he_initialise(backbone)
    if how == "he":
        return
    for name, layer in backbone.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=PAPER_STD)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, 1.0 if name in biased else 0.0)


def wide_output_layer(features: int, outputs: int, how: Initialisation) -> nn.Linear:
    """A linear head on thousands of features, (N, D) -> (N, K).

    From "he" weights the features are as strong as the pixels, and there are so many that weights of N(0, 0.01^2) would
    make an untrained network sure of itself; its are N(0, 0.0002^2).
    """
    head = output_layer(features, outputs)
    if how == "he":
        nn.init.normal_(head.weight, std=_FAINT_STD)
    return head
