"""The networks that the tour compares, on torch's meta device: shapes and counts without numbers."""

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from convolve.networks.catalogue import find_architecture
from convolve.networks.network import Network


@dataclass(frozen=True)
class Classic:
    """A network of the field's history.

    Attributes:
        title: its name in print.
        name: as `find_architecture` knows it.
        year: of the paper or the competition.
        depth: layers with weights as the paper counts them, along the longest path.
        side: of the images, pixels.
        channels: of the images.
        classes: K.
        options: of the architecture.
    """

    title: str
    name: str
    year: int
    depth: int
    side: int = 224
    channels: int = 3
    classes: int = 1000
    options: tuple[tuple[str, object], ...] = ()

    @property
    def image_hw(self) -> tuple[int, int]:
        """Height and width of its images, pixels."""
        return self.side, self.side

    def shapes(self) -> Network:
        """The network without numbers, in test mode; the same object each time."""
        return _shapes(self)


@cache
def _shapes(classic: Classic) -> Network:
    with torch.device("meta"):
        network = find_architecture(classic.name).create(
            classic.classes, channels=classic.channels, image_hw=classic.image_hw, options=dict(classic.options)
        )
    return network.eval()


LENET5 = Classic("LeNet-5", "lenet5", 1998, 7, side=32, channels=1, classes=10, options=(("batch_norm", False),))
"""As most libraries have it: every map of C3 connected, maxima, a linear output."""
LENET5_PUBLISHED = replace(
    LENET5,
    options=(
        *LENET5.options,
        ("subsampling", "trainable"),
        ("c3", "table"),
        ("output", "rbf"),
        ("squash", "tanh"),
    ),
)
ALEXNET = Classic("AlexNet", "alexnet", 2012, 8, side=227)
ZFNET = Classic("ZFNet", "zfnet", 2013, 8)
OVERFEAT = Classic("OverFeat, fast", "overfeat", 2013, 8, side=231)
GOOGLENET = Classic("GoogLeNet", "googlenet", 2014, 22, options=(("auxiliary", False),))
VGG16 = Classic("VGG-16", "torchvision:vgg16", 2014, 16)
RESNET18 = Classic("ResNet-18", "torchvision:resnet18", 2015, 18)
RESNET50 = Classic("ResNet-50", "torchvision:resnet50", 2015, 50)
RESNET152 = Classic("ResNet-152", "torchvision:resnet152", 2015, 152)
INCEPTION = Classic("Inception v3", "torchvision:inception_v3", 2015, 48, side=299)


@dataclass(frozen=True)
class MapSize:
    """Maps of one size within a network.

    Attributes:
        side: pixels.
        maps: how many there are at most, after one layer or block.
    """

    side: int
    maps: int


def map_sizes(classic: Classic) -> list[MapSize]:
    """The sizes of a network's maps, largest first; single units are left out."""
    network = classic.shapes()
    found: dict[int, int] = {}

    def note(output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            side, maps = output.shape[2], output.shape[1]
            found[side] = max(maps, found.get(side, 0))

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: note(output)) for module in network.modules()
    ]
    try:
        with torch.no_grad():
            network(torch.empty(1, classic.channels, *classic.image_hw, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return [MapSize(side, maps) for side, maps in sorted(found.items(), reverse=True) if side > 1]
