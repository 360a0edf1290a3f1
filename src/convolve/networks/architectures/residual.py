"""The small residual networks that He et al. trained on CIFAR-10: depth 6n + 2, for images of up to 64 pixels."""

from typing import Annotated

import torch.nn.functional as F
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from convolve.networks.initialisation import he_initialise, output_layer
from convolve.networks.network import Architecture, Network, register_architecture


class ShortcutA(nn.Module):
    """The identity across a stage: every second pixel, and zeros for the channels that are new; no parameters.

    Args:
        stride: 1 or 2.
        new_channels: how many channels of zeros to add behind those that come in.
    """

    def __init__(self, stride: int, new_channels: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = new_channels

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + new_channels, ceil(H / stride), ceil(W / stride))."""
        return F.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


class BasicBlock(nn.Module):
    """relu(F(x) + shortcut(x)), F two 3 x 3 convolutions, each followed by batch normalisation.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: 1 or 2.
        shortcuts: False leaves relu(F(x)), a block of a plain network.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, shortcuts: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        same_shape = stride == 1 and inputs == outputs
        self.shortcut: nn.Module | None = None
        if shortcuts:
            self.shortcut = nn.Identity() if same_shape else ShortcutA(stride, outputs - inputs)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride))."""
        inner = F.relu(self.norm1(self.conv1(maps)))
        outer: Tensor = self.norm2(self.conv2(inner))
        return F.relu(outer if self.shortcut is None else outer + self.shortcut(maps))


def _six_n_plus_two(depth: int) -> int:
    if depth % 6 != 2:
        raise ValueError(f"a depth is 6n + 2; the next one is {depth + (2 - depth) % 6}")
    return depth


def residual(
    outputs: int,
    *,
    channels: int,
    image_hw: tuple[int, int],
    depth: Annotated[int, Field(ge=8, le=1202), AfterValidator(_six_n_plus_two)] = 20,
    width: Annotated[int, Field(ge=1)] = 16,
    shortcuts: bool = True,
) -> Network:
    """Three stages of n blocks with shortcuts of option A, then the mean of each map.

    The stages have `width`, 2 and 4 times `width` channels, at strides 1, 2 and 4.

    Args:
        outputs: K.
        channels: C.
        image_hw: any size; the network does not depend on it.
        depth: 6n + 2 layers with weights: the first convolution, 2 in each of 3n blocks, the head.
        width: channels of the first stage; 16 in the paper.
        shortcuts: False leaves them out: the plain network that the paper compares with, of as many parameters.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2.
    """
    blocks = (depth - 2) // 6
    stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    stages = nn.Sequential()
    inputs = width
    for stage in range(3):
        maps = width * 2**stage
        for block in range(blocks):
            stages.append(BasicBlock(inputs, maps, stride=2 if stage and not block else 1, shortcuts=shortcuts))
            inputs = maps
    backbone = nn.Sequential(stem, stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    he_initialise(backbone)
    return Network(backbone, output_layer(inputs, outputs), features=inputs)


register_architecture(
    Architecture(
        name="residual",
        build=residual,
        about="compact residual network for images of up to 64 pixels, 20 layers by default",
        source="He et al., CVPR 2016, section 4.2",
        smallest_side=8,
        scratch_side=64,
    )
)
