"""What an augmentation is: parameters drawn per image from uniform numbers, applied to a whole batch of tensors."""

from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.batch import Batch
from convolve.registry import Registry

Uniforms: TypeAlias = NDArray[np.float64]
"""(N, draws) numbers in [0, 1), one row an image."""


@runtime_checkable
class Geometric(Protocol):
    """Moves pixels: all of a recipe's geometric transforms are composed into one matrix and one resampling."""

    draws: int

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> NDArray[np.float64]:
        """(N, 3, 3): where a point (x, y, 1) goes, in pixels from the image's centre, x right and y down."""


@runtime_checkable
class Photometric(Protocol):
    """Changes values, not places."""

    draws: int

    def apply(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        """(N, C, H, W) float32 in [0, 1] -> the same shape, clamped to [0, 1]."""


@runtime_checkable
class Mixing(Protocol):
    """Mixes the images of a batch with one another."""

    draws: int

    def mix(self, batch: Batch, uniforms: Uniforms) -> Batch:
        """A batch whose `blend` says who was mixed with whom."""


Transform: TypeAlias = Geometric | Photometric | Mixing

TRANSFORMS: Registry[Any] = Registry("augmentation", "convolve.data.augment.transforms")
"""Classes whose keyword-only parameters are what a recipe may set."""
