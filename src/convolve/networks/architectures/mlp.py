"""Fully connected layers on the pixels: what any convolutional network has to beat."""

from itertools import pairwise
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch import nn

from convolve.networks.initialisation import he_initialise, output_layer
from convolve.networks.network import Architecture, Network, register_architecture

Activation: TypeAlias = Literal["relu", "tanh", "sigmoid"]
Probability: TypeAlias = Annotated[float, Field(ge=0, lt=1)]

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def mlp(
    outputs: int,
    *,
    channels: int,
    image_hw: tuple[int, int],
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (800, 800),
    activation: Activation = "relu",
    dropout: Probability = 0.0,
    input_dropout: Probability = 0.0,
    batch_norm: bool = False,
) -> Network:
    """A multi-layer perceptron, C H W inputs - hidden units - K outputs.

    Args:
        outputs: K.
        channels: C.
        image_hw: H and W, pixels; the network takes no other size.
        hidden: units of each hidden layer; (800, 800) and dropout 0.5, input_dropout 0.2 are Hinton's for MNIST.
        activation: after each hidden layer.
        dropout: probability that a hidden unit is left out of a training step.
        input_dropout: probability that a pixel is.
        batch_norm: normalise each hidden layer over the batch, before its activation.

    Source: Hinton, Srivastava, Krizhevsky, Sutskever and Salakhutdinov, "Improving neural networks by preventing
    co-adaptation of feature detectors", arXiv:1207.0580, 2012.
    """
    widths = (channels * image_hw[0] * image_hw[1], *hidden)
    layers: list[nn.Module] = [nn.Flatten()]
    if input_dropout:
        layers.append(nn.Dropout(input_dropout))
    for inputs, units in pairwise(widths):
        # A bias before batch normalisation is subtracted again with the mean.
        layers.append(nn.Linear(inputs, units, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(units))
        layers.append(_ACTIVATIONS[activation]())
        if dropout:
            layers.append(nn.Dropout(dropout))
    backbone = nn.Sequential(*layers)
    if activation == "relu":
        he_initialise(backbone)
    else:
        _initialise_for_sigmoids(backbone)
    return Network(backbone, output_layer(widths[-1], outputs), features=widths[-1])


def _initialise_for_sigmoids(backbone: nn.Module) -> None:
    """Source: Glorot and Bengio, "Understanding the difficulty of training deep ... networks", AISTATS 2010."""
    for layer in backbone.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


register_architecture(
    Architecture(
        name="mlp",
        build=mlp,
        about="fully connected layers on the pixels, 800-800 by default; the baseline without convolutions",
        source="Hinton et al., arXiv:1207.0580, 2012",
        scratch_side=32,
    )
)
