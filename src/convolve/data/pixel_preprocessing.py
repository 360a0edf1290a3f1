"""How pixels of any type become the numbers a network for masks was trained on; stored in every model file."""

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from convolve.data.rasters import Pixels, Valid


class PixelPreprocessing(BaseModel):
    """From pixels in their own type and size to a network's input.

    Attributes:
        channels: C, those a network takes.
        bands: which bands of a file they are, counted from 1; None = all.
        low, high: per channel, in the file's units, what becomes 0 and 1; values beyond are cut off. 0 and 255 for
            uint8; for other types measured on training images (`pixel_statistics.measure_range`).
        mean, std: per channel, of values in [0, 1]; the input is (value - mean) / std.
        scale: images are resized by this before the network, and its maps back after it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    channels: int = Field(ge=1)
    bands: tuple[int, ...] | None = None
    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for name in ("bands", "low", "high", "mean", "std"):
            values = getattr(self, name)
            if values is not None and len(values) != self.channels:
                raise ValueError(f"{name} has {len(values)} values for {self.channels} channels")
        if any(high <= low for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("high must be above low in every channel")
        if min(self.std) <= 0:
            raise ValueError("std must be above 0")
        return self

    @property
    def fill(self) -> tuple[float, ...]:
        """(C,) in [0, 1], what stands outside of images and for no data: the mean, which a network sees as 0."""
        return self.mean

    def scaled_hw(self, hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which a network sees an image of this height and width, pixels; at least 1."""
        return max(1, round(hw[0] * self.scale)), max(1, round(hw[1] * self.scale))

    def to_unit(self, pixels: Pixels, valid: Valid | None = None) -> Tensor:
        """Values between `low` and `high` as values in [0, 1].

        Args:
            pixels: (..., H, W, C), whole or floating-point numbers of any type.
            valid: (..., H, W), False where there is no data, or None where all is valid.

        Returns:
            (..., C, H, W) float32, contiguous; `fill` where there is no data.
        """
        values = _channels_first(pixels)
        if pixels.dtype == np.uint8 and set(self.low) == {0.0} and set(self.high) == {255.0}:
            unit = values.to(torch.float32).div_(255)
        else:
            # Of large whole numbers, little apart, float32 would lose the difference.
            precise = torch.float32 if pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32 else torch.float64
            low, high = (torch.tensor(bound, dtype=precise)[:, None, None] for bound in (self.low, self.high))
            unit = values.to(precise).sub_(low).div_(high - low).clamp_(0, 1).to(torch.float32)
        if valid is not None and not valid.all():
            fill = torch.tensor(self.fill, dtype=torch.float32)[:, None, None]
            unit = torch.where(torch.from_numpy(valid).unsqueeze(-3), unit, fill)
        return unit

    def normalise(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (value - mean) / std."""
        mean = torch.tensor(self.mean, device=images.device, dtype=images.dtype)[:, None, None]
        std = torch.tensor(self.std, device=images.device, dtype=images.dtype)[:, None, None]
        return (images - mean) / std


def _channels_first(pixels: NDArray[Any]) -> Tensor:
    """(..., H, W, C) -> (..., C, H, W), contiguous; a copy, since packs are read-only."""
    return torch.from_numpy(np.array(np.moveaxis(pixels, -1, -3), order="C"))
