"""Networks for masks whose reach one can count on one's fingers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.networks.pixel_network import PixelNetwork


class SmallNetwork(PixelNetwork):
    """A 3x3 convolution, one at stride 2, one behind it, and back to full size: 1 + 1 + 2 pixels, 1 for the grid."""

    reach = 5
    stride = 2

    def __init__(self, classes: int = 3, channels: int = 3, dropout: float | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.third = nn.Conv2d(8, classes, 3, padding=1)
        self.dropout = nn.Identity() if dropout is None else nn.Dropout(dropout)
        self.encoded = 0
        with torch.no_grad():
            self.third.weight.mul_(10)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        self.encoded += 1
        return (F.relu(self.second(F.relu(self.norm(self.first(images))))),)

    def score(self, encoded: tuple[Tensor, ...], image_hw: tuple[int, int]) -> Tensor:
        scores = F.interpolate(self.third(self.dropout(encoded[0])), scale_factor=2.0, mode="nearest")
        return scores[:, :, : image_hw[0], : image_hw[1]]


class ColourNetwork(PixelNetwork):
    """A class for each pixel by its own values alone, so turned images give turned maps."""

    reach = 0

    def __init__(self, classes: int = 3, channels: int = 3) -> None:
        super().__init__()
        self.scores = nn.Conv2d(channels, classes, 1)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images,)

    def score(self, encoded: tuple[Tensor, ...], image_hw: tuple[int, int]) -> Tensor:
        scores: Tensor = self.scores(encoded[0])
        return scores


def preprocessing(channels: int = 3, *, scale: float = 1.0, high: float = 255) -> PixelPreprocessing:
    return PixelPreprocessing(
        channels=channels,
        low=(0.0,) * channels,
        high=(high,) * channels,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        scale=scale,
    )
