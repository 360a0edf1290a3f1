"""How pixels of any image become the numbers a network was trained on; stored in every model file."""

from collections.abc import Callable
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, tensor

Fit: TypeAlias = Literal["pad", "crop", "stretch"]
Normalise: TypeAlias = Callable[[Tensor], Tensor]
"""From what a batch holds to what a network takes, both (N, C, H, W)."""


class Preprocessing(BaseModel):
    """From a decoded image to a network's input.

    Attributes:
        image_hw: height and width of the input, pixels.
        fit: how another shape becomes this one: "pad" (scale until all of it fits, fill the rest), "crop" (scale until
            it fills, cut the rest off both ends) or "stretch" (each axis by itself).
        channels: 1 grey, 3 RGB.
        mean, std: per channel, of values in [0, 1]; the input is (value - mean) / std.
        fill: what lies outside the image, 0..255 per channel; if not given the mean, which the network sees as zero.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_hw: tuple[int, int]
    fit: Fit = "pad"
    channels: Literal[1, 3] = 3
    mean: tuple[float, ...] = Field(min_length=1, max_length=3)
    std: tuple[float, ...] = Field(min_length=1, max_length=3)
    fill: tuple[int, ...] = Field(default_factory=lambda data: tuple(round(255 * value) for value in data["mean"]))

    def normalise(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (value - mean) / std."""
        mean = tensor(self.mean, device=images.device, dtype=images.dtype)[:, None, None]
        std = tensor(self.std, device=images.device, dtype=images.dtype)[:, None, None]
        return (images - mean) / std
