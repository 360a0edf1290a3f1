"""VGG_CNN_S: the slow one of Chatfield's three networks, on which Caffe's fine-tuning examples stand."""

from collections import OrderedDict
from typing import Literal

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


def vgg_cnn_s(
    outputs: int,
    *,
    channels: int,
    image_hw: tuple[int, int],
    conv2_padding: Literal[0, 1] = 0,
    initialisation: Initialisation = "he",
) -> Network:
    """Five convolutions, 96-256-512-512-512 maps of 109, 33, 17, 17 and 17 a side, and 4096-4096-K units.

    102,908,520 parameters for 1,000 classes of RGB images. Pooling rounds up, as Caffe's does.

    Args:
        outputs: K.
        channels: C.
        image_hw: (224, 224).
        conv2_padding: 0 as in the published Caffe file, or 1 as in the paper's table; the count is the same.
        initialisation: "he", or "paper": N(0, 0.01^2), biases 0.

    Raises:
        UserError: the images are of another size.

    Source: Chatfield, Simonyan, Vedaldi and Zisserman, "Return of the devil in the details", BMVC 2014, table 1.
    """
    require_side("vgg-cnn-s", image_hw, _SIDES)
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(channels, 96, 7, stride=2),
        "relu1": nn.ReLU(),
        "norm1": LocalResponseNorm(),
        "pool1": nn.MaxPool2d(3, stride=3, ceil_mode=True),
        "conv2": nn.Conv2d(96, 256, 5, padding=conv2_padding),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2, stride=2, ceil_mode=True),
        "conv3": nn.Conv2d(256, 512, 3, padding=1),
        "relu3": nn.ReLU(),
        "conv4": nn.Conv2d(512, 512, 3, padding=1),
        "relu4": nn.ReLU(),
        "conv5": nn.Conv2d(512, 512, 3, padding=1),
        "relu5": nn.ReLU(),
        "pool5": nn.MaxPool2d(3, stride=3, ceil_mode=True),
        "flatten": nn.Flatten(),
        **hidden_layers(512 * 6 * 6, (4096, 4096)),
    }
    backbone = nn.Sequential(OrderedDict(layers))
    initialise(backbone, initialisation)
    return Network(backbone, wide_output_layer(4096, outputs, initialisation), features=4096)


register_architecture(
    Architecture(
        name="vgg-cnn-s",
        build=vgg_cnn_s,
        about="VGG_CNN_S of 2014, the large eight-layer network of Caffe's model zoo",
        source="Chatfield et al., BMVC 2014, table 1",
        sides=_SIDES,
        smallest_side=224,
        scratch_side=224,
        scratch_lr_factor=LR_FACTOR,
        published_outputs=1000,
    )
)
