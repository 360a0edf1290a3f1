from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.randomness import numpy_generator


@TRANSFORMS.register("noise")
class Noise:
    """Add normal noise, independent in every pixel and channel, as a sensor does in poor light.

    Args:
        std: its standard deviation, of values in [0, 1].
    """

    stage = Stage.NOISE
    draws = 1

    def __init__(self, *, std: Annotated[float, Field(ge=0, le=1)] = 0.02) -> None:
        self._std = std

    def apply(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        """(N, C, H, W): value + noise."""
        noise = np.empty(images.shape, np.float32)
        for row, uniform in zip(noise, uniforms[:, 0], strict=True):
            # An image's one number is the key to as many as it has pixels.
            numpy_generator("noise", int(uniform * 2**53)).standard_normal(dtype=np.float32, out=row)
        return (torch.from_numpy(noise).to(images) * self._std).add_(images).clamp_(0, 1)
