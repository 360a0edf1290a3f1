"""How images of any size become the numbers a detector was trained on; stored in every model file."""

from typing import Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from convolve.data.dataset import ImageArray
from convolve.data.preprocessing import Preprocessing
from convolve.data.resizing import fit_image


class BoxPreprocessing(BaseModel):
    """From a decoded image to a detector's input: as large as can be in a square, its shape kept, nothing around it.

    Attributes:
        channels: C, 1 grey or 3 RGB.
        side: the longest side of an image at the network's input, pixels; small images grow by the same rule as large
            ones shrink.
        mean, std: per channel, of values in [0, 1]; the input is (value - mean) / std.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    channels: Literal[1, 3] = 3
    side: int = Field(ge=1)
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != self.channels:
                raise ValueError(f"{name} has {len(values)} values for {self.channels} channels")
        if min(self.std) <= 0:
            raise ValueError("std must be above 0")
        return self

    @property
    def fill(self) -> tuple[float, ...]:
        """(C,) in [0, 1], what stands outside of images: the mean, which a network sees as 0."""
        return self.mean

    def scale(self, hw: tuple[int, int]) -> float:
        """By how much an image of this height and width grows."""
        return self.side / max(hw)

    def input_hw(self, hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which a network sees an image of this height and width, pixels; at least 1."""
        return input_hw(hw, self.side)

    def box_factors(self, hw: tuple[int, int]) -> tuple[float, float]:
        """(x, y) that take boxes from an image of this height and width to the network's input, exactly.

        They differ a little from `scale`, and from each other, since sides are whole numbers of pixels.
        """
        h, w = self.input_hw(hw)
        return w / hw[1], h / hw[0]

    def resize(self, image: ImageArray) -> ImageArray:
        """An image as the network sees it, the same in training and in use, to the bit.

        Args:
            image: (H, W, C) uint8.

        Returns:
            (h, w, C) uint8, (h, w) being `input_hw`; the image itself where it has this size.
        """
        return resize_to_side(image, self.side)

    def to_unit(self, pixels: ImageArray) -> Tensor:
        """(..., H, W, C) uint8 -> (..., C, H, W) float32 in [0, 1], contiguous."""
        # A copy, since packs are read-only.
        values = torch.from_numpy(np.array(np.moveaxis(pixels, -1, -3), order="C"))
        return values.to(torch.float32).div_(255)

    def normalise(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (value - mean) / std."""
        mean = torch.tensor(self.mean, device=images.device, dtype=images.dtype)[:, None, None]
        std = torch.tensor(self.std, device=images.device, dtype=images.dtype)[:, None, None]
        return (images - mean) / std


def input_hw(hw: tuple[int, int], side: int) -> tuple[int, int]:
    """The height and width, pixels, at which the longest side of an image is `side`; at least 1."""
    scale = side / max(hw)
    return max(1, round(hw[0] * scale)), max(1, round(hw[1] * scale))


def resize_to_side(image: ImageArray, side: int) -> ImageArray:
    """(H, W, C) uint8 -> (h, w, C) uint8 whose longest side is `side`, by `resizing`'s filter."""
    height, width, channels = image.shape
    plain = (0.0,) * channels
    whole = Preprocessing(
        image_hw=input_hw((height, width), side),
        fit="stretch",
        channels=1 if channels == 1 else 3,
        mean=plain,
        std=plain,
    )
    return fit_image(image, whole)
