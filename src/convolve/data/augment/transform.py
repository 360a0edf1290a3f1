"""What an augmentation is: parameters drawn per image from uniform numbers, applied to a whole batch of tensors."""

from enum import IntEnum, auto
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.batch import Batch
from convolve.geometry import Matrices
from convolve.registry import Registry

Uniforms: TypeAlias = NDArray[np.float64]
"""(N, draws) numbers in [0, 1), one row an image."""


class Stage(IntEnum):
    """When a transform has its turn, whatever the order in the recipe; within a stage they go by their names."""

    GEOMETRY = auto()
    COLOUR = auto()
    NOISE = auto()
    ERASING = auto()
    MIXING = auto()


@runtime_checkable
class Geometric(Protocol):
    """Moves pixels: all of a recipe's geometric transforms are composed into one matrix and one resampling."""

    stage: Stage
    draws: int

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> Matrices:
        """(N, 3, 3): where a point (x, y, 1) goes, in pixels from the image's centre, x right and y down."""


@runtime_checkable
class Photometric(Protocol):
    """Changes values, not places."""

    stage: Stage
    draws: int

    def apply(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        """(N, C, H, W) float32 in [0, 1] -> the same shape, clamped to [0, 1]; the argument is left as it was."""


@runtime_checkable
class Mixing(Protocol):
    """Mixes the images of a batch with one another."""

    stage: Stage
    draws: int

    def mix(self, batch: Batch, uniforms: Uniforms) -> Batch:
        """A batch whose `blend` says who was mixed with whom."""


Transform: TypeAlias = Geometric | Photometric | Mixing

TRANSFORMS: Registry[Any] = Registry("augmentation", "convolve.data.augment.transforms")
"""Classes whose keyword-only parameters are what a recipe may set; a bare number in a recipe sets the first."""


def per_image(values: NDArray[np.float64], images: Tensor) -> Tensor:
    """One number an image, (N,), as (N, 1, 1, 1) of the images' type and device."""
    return torch.from_numpy(values).to(images)[:, None, None, None]


def luma(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 1, H, W): grey by ITU-R BT.601 of RGB, the mean of any other number of bands."""
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    red, green, blue = images.chunk(3, dim=1)
    return (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)
