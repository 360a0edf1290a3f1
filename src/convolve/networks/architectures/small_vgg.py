"""Stacks of 3 x 3 convolutions, after VGG, at a size that small images and processors bear."""

from typing import Annotated

from pydantic import Field
from torch import nn

from convolve.networks.initialisation import he_initialise, output_layer
from convolve.networks.network import Architecture, Network, register_architecture

_HIDDEN = 256
_STACKS = 3


def small_vgg(
    outputs: int,
    *,
    channels: int,
    image_hw: tuple[int, int],
    width: Annotated[int, Field(ge=1)] = 32,
    convolutions: Annotated[int, Field(ge=1, le=8)] = 2,
    batch_norm: bool = True,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
) -> Network:
    """Three stacks of 3 x 3 convolutions of `width`, 2 and 4 times `width` maps, each halved by pooling; 256 - K units.

    Eight layers with weights by default, as AlexNet has.

    Args:
        outputs: K.
        channels: C.
        image_hw: height and width of the images, at least 8 pixels; the network takes no other size.
        width: maps of the first stack.
        convolutions: of each stack.
        batch_norm: normalise each layer over the batch, before its ReLU.
        dropout: probability that one of the 256 features is left out of a step of training.

    Source: after Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
    ICLR 2015, section 2.1.
    """

    def normalised(maps: int, norm: type[nn.Module]) -> list[nn.Module]:
        return [norm(maps), nn.ReLU()] if batch_norm else [nn.ReLU()]

    layers: list[nn.Module] = []
    maps = channels
    for stack in range(_STACKS):
        wider = width * 2**stack
        for _ in range(convolutions):
            # A bias before batch normalisation is subtracted again with the mean.
            layers += [nn.Conv2d(maps, wider, 3, padding=1, bias=not batch_norm), *normalised(wider, nn.BatchNorm2d)]
            maps = wider
        layers.append(nn.MaxPool2d(2))
    height, width_left = (side // 2**_STACKS for side in image_hw)
    layers += [nn.Flatten(), nn.Linear(maps * height * width_left, _HIDDEN, bias=not batch_norm)]
    backbone = nn.Sequential(*layers, *normalised(_HIDDEN, nn.BatchNorm1d), nn.Dropout(dropout))
    he_initialise(backbone)
    return Network(backbone, output_layer(_HIDDEN, outputs), features=_HIDDEN)


register_architecture(
    Architecture(
        name="small-vgg",
        build=small_vgg,
        about="stacks of 3 x 3 convolutions after VGG, for images of up to 64 pixels",
        source="after Simonyan and Zisserman, ICLR 2015",
        smallest_side=8,
        scratch_side=64,
    )
)
