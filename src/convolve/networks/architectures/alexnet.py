"""AlexNet as published: two halves that see each other in some layers only, and local response normalisation."""

from collections import OrderedDict

from torch import nn

from convolve.networks.classic import (
    LR_FACTOR,
    Initialisation,
    hidden_layers,
    initialise,
    require_side,
    wide_output_layer,
)
from convolve.networks.layers.local_response import LocalResponseNorm
from convolve.networks.network import Architecture, Network, register_architecture

# The paper prints 224, but 55 x 55 maps need 227 without a margin, or a margin of 2 around 224.
_PADDING_BY_SIDE = {224: 2, 227: 0}


def alexnet(
    outputs: int,
    *,
    channels: int,
    image_hw: tuple[int, int],
    grouped: bool = True,
    initialisation: Initialisation = "he",
) -> Network:
    """Five convolutions, 96-256-384-384-256 maps of 55, 27, 13, 13 and 13 a side, and 4096-4096-K units.

    60,965,224 parameters for 1,000 classes of RGB images, 62,378,344 ungrouped. torchvision's `alexnet` is another
    network, narrower and without normalisation.

    Args:
        outputs: K.
        channels: C.
        image_hw: (224, 224) or (227, 227).
        grouped: the paper's two halves, one on each graphics card; of conv2 to conv5 only conv3 sees the maps of both.
        initialisation: "he", or "paper": N(0, 0.01^2), biases 1 in conv2, conv4, conv5, fc6 and fc7.

    Raises:
        UserError: the images are of another size.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks",
    NIPS 2012, section 3.5.
    """
    padding = _PADDING_BY_SIDE[require_side("alexnet", image_hw, tuple(_PADDING_BY_SIDE))]
    groups = 2 if grouped else 1
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(channels, 96, 11, stride=4, padding=padding),
        "relu1": nn.ReLU(),
        "norm1": LocalResponseNorm(),
        "pool1": nn.MaxPool2d(3, stride=2),
        "conv2": nn.Conv2d(96, 256, 5, padding=2, groups=groups),
        "relu2": nn.ReLU(),
        "norm2": LocalResponseNorm(),
        "pool2": nn.MaxPool2d(3, stride=2),
        "conv3": nn.Conv2d(256, 384, 3, padding=1),
        "relu3": nn.ReLU(),
        "conv4": nn.Conv2d(384, 384, 3, padding=1, groups=groups),
        "relu4": nn.ReLU(),
        "conv5": nn.Conv2d(384, 256, 3, padding=1, groups=groups),
        "relu5": nn.ReLU(),
        "pool5": nn.MaxPool2d(3, stride=2),
        "flatten": nn.Flatten(),
        **hidden_layers(256 * 6 * 6, (4096, 4096)),
    }
    backbone = nn.Sequential(OrderedDict(layers))
    initialise(backbone, initialisation, biased=("conv2", "conv4", "conv5", "fc6", "fc7"))
    return Network(backbone, wide_output_layer(4096, outputs, initialisation), features=4096)


register_architecture(
    Architecture(
        name="alexnet",
        build=alexnet,
        about="AlexNet of 2012 as published, in two groups, with local response normalisation",
        source="Krizhevsky et al., NIPS 2012, section 3.5",
        sides=tuple(_PADDING_BY_SIDE),
        smallest_side=224,
        scratch_side=224,
        scratch_lr_factor=LR_FACTOR,
        published_outputs=1000,
    )
)
