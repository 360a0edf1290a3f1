"""ZFNet: AlexNet in one stream, with smaller filters at a smaller stride at its start."""

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

_SIDES = (224,)


def zfnet(outputs: int, *, channels: int, image_hw: tuple[int, int], initialisation: Initialisation = "he") -> Network:
    """Five convolutions, 96-256-384-384-256 maps of 110, 26, 13, 13 and 13 a side, and 4096-4096-K units.

    62,357,608 parameters for 1,000 classes of RGB images. The paper prints the maps' sizes but no paddings; these give
    its sizes. Its rescaling of filters whose root mean square passes 0.1 is left out.

    Args:
        outputs: K.
        channels: C.
        image_hw: (224, 224).
        initialisation: "he", or "paper": N(0, 0.01^2), biases 0.

    Raises:
        UserError: the images are of another size.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, figure 3.
    """
    require_side("zfnet", image_hw, _SIDES)
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(channels, 96, 7, stride=2, padding=1),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(3, stride=2, padding=1),
        "norm1": LocalResponseNorm(),
        "conv2": nn.Conv2d(96, 256, 5, stride=2),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(3, stride=2, padding=1),
        "norm2": LocalResponseNorm(),
        "conv3": nn.Conv2d(256, 384, 3, padding=1),
        "relu3": nn.ReLU(),
        "conv4": nn.Conv2d(384, 384, 3, padding=1),
        "relu4": nn.ReLU(),
        "conv5": nn.Conv2d(384, 256, 3, padding=1),
        "relu5": nn.ReLU(),
        "pool5": nn.MaxPool2d(3, stride=2),
        "flatten": nn.Flatten(),
        **hidden_layers(256 * 6 * 6, (4096, 4096)),
    }
    backbone = nn.Sequential(OrderedDict(layers))
    initialise(backbone, initialisation)
    return Network(backbone, wide_output_layer(4096, outputs, initialisation), features=4096)


register_architecture(
    Architecture(
        name="zfnet",
        build=zfnet,
        about="ZFNet of 2013, the network that the deconvnet looked into",
        source="Zeiler and Fergus, ECCV 2014, figure 3",
        sides=_SIDES,
        smallest_side=224,
        scratch_side=224,
        scratch_lr_factor=LR_FACTOR,
        published_outputs=1000,
    )
)
