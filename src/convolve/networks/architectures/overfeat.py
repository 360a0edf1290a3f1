"""OverFeat, the fast model: made to be moved over images larger than its window."""

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
from convolve.networks.network import Architecture, Network, register_architecture

_SIDES = (231,)


def overfeat(
    outputs: int, *, channels: int, image_hw: tuple[int, int], initialisation: Initialisation = "he"
) -> Network:
    """Five convolutions, 96-256-512-1024-1024 maps of 56, 24, 12, 12 and 12 a side, and 3072-4096-K units.

    145,920,872 parameters for 1,000 classes of RGB images. It sees a window of 231 pixels and, moved over an image,
    answers every 32; counted with its paddings, a unit of fc6 sees 327. No normalisation, no overlap in pooling.

    Args:
        outputs: K.
        channels: C.
        image_hw: (231, 231).
        initialisation: "he", or "paper": N(0, 0.01^2), biases 0.

    Raises:
        UserError: the images are of another size.

    Source: Sermanet, Eigen, Zhang, Mathieu, Fergus and LeCun, "OverFeat: integrated recognition, localization and
    detection using convolutional networks", ICLR 2014, table 1.
    """
    require_side("overfeat", image_hw, _SIDES)
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(channels, 96, 11, stride=4),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(96, 256, 5),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "conv3": nn.Conv2d(256, 512, 3, padding=1),
        "relu3": nn.ReLU(),
        "conv4": nn.Conv2d(512, 1024, 3, padding=1),
        "relu4": nn.ReLU(),
        "conv5": nn.Conv2d(1024, 1024, 3, padding=1),
        "relu5": nn.ReLU(),
        "pool5": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        **hidden_layers(1024 * 6 * 6, (3072, 4096)),
    }
    backbone = nn.Sequential(OrderedDict(layers))
    initialise(backbone, initialisation)
    return Network(backbone, wide_output_layer(4096, outputs, initialisation), features=4096)


register_architecture(
    Architecture(
        name="overfeat",
        build=overfeat,
        about="the fast model of OverFeat, 2013, made to be moved over larger images",
        source="Sermanet et al., ICLR 2014, table 1",
        sides=_SIDES,
        smallest_side=231,
        scratch_side=231,
        scratch_lr_factor=LR_FACTOR,
        published_outputs=1000,
    )
)
