"""A classifier of patches without padding inside, so that it can be moved over an image and compute the same."""

from typing import Annotated

from pydantic import Field
from torch import nn

from convolve.networks.initialisation import he_initialise, output_layer
from convolve.networks.network import Architecture, Network, register_architecture

_FEATURES = 128
# Below this side the third pooling would leave the fourth convolution too little.
_SIDE_FOR_THREE_POOLS = 60
_SMALLEST_SIDE = 32


def patch_net(
    outputs: int,
    *,
    channels: int,
    image_hw: tuple[int, int],
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
    batch_norm: bool = True,
) -> Network:
    """32@5x5 - pool - 64@5x5 - pool - 96@3x3 - pool - 128@3x3 - 128 - dropout - K outputs.

    Nothing is padded. Patches below 60 pixels a side leave out the third pool. The fully connected layer is on maps of
    3 x 3 units with 65 x 65 pixels, of 1 x 1 with 33 x 33; as pooling rounds down, it sees 60 x 60 and 32 x 32 of them.

    Args:
        outputs: K.
        channels: C.
        image_hw: height and width of the patches, at least 32 pixels.
        dropout: probability that one of the 128 features is left out of a training step.
        batch_norm: normalise each layer over the batch, before its ReLU.

    Source: after the patch-based network of Kampffmeyer, Salberg and Jenssen, "Semantic segmentation of small objects
    and modeling of uncertainty in urban remote sensing images using deep convolutional neural networks",
    CVPR Workshops 2016, section 3.1: four convolutions and two fully connected layers on 65 x 65 pixels.
    """
    pools_after_third = min(image_hw) >= _SIDE_FOR_THREE_POOLS

    def normalised(maps: int, norm: type[nn.Module]) -> list[nn.Module]:
        return [norm(maps), nn.ReLU()] if batch_norm else [nn.ReLU()]

    layers: list[nn.Module] = []
    height, width = image_hw
    maps = channels
    for wider, kernel, pool in ((32, 5, 2), (64, 5, 2), (96, 3, 2 if pools_after_third else 1), (128, 3, 1)):
        # A bias before batch normalisation is subtracted again with the mean.
        layers += [nn.Conv2d(maps, wider, kernel, bias=not batch_norm), *normalised(wider, nn.BatchNorm2d)]
        layers += [nn.MaxPool2d(pool)] if pool > 1 else []
        height, width, maps = (height - kernel + 1) // pool, (width - kernel + 1) // pool, wider
    layers += [nn.Flatten(), nn.Linear(maps * height * width, _FEATURES, bias=not batch_norm)]
    backbone = nn.Sequential(*layers, *normalised(_FEATURES, nn.BatchNorm1d), nn.Dropout(dropout))
    he_initialise(backbone)
    return Network(backbone, output_layer(_FEATURES, outputs), features=_FEATURES)


register_architecture(
    Architecture(
        name="patch-net",
        build=patch_net,
        about="four convolutions without padding for patches of 65 or 33 pixels, made to be moved over larger images",
        source="after Kampffmeyer et al., CVPR Workshops 2016",
        smallest_side=_SMALLEST_SIDE,
        scratch_side=65,
    )
)
