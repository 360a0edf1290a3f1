"""Maps of numbers as pictures: alone, and over the image they are about."""

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

# Told apart by colour-blind readers; dark is little, bright is much (Crameri et al., Nature Communications 11, 2020).
_SEQUENTIAL, _DIVERGING = "inferno", "RdBu_r"


def resized(heat: Tensor, hw: tuple[int, int]) -> Tensor:
    """(h, w) -> (H, W), bilinear between the centres of the map's units."""
    return F.interpolate(heat[None, None].float(), size=hw, mode="bilinear", align_corners=False)[0, 0]


def as_picture(heat: Tensor) -> NDArray[np.uint8]:
    """(H, W) numbers from 0 up as (H, W, 3) uint8: 0 is black, the largest bright yellow; black where all are 0."""
    largest = float(heat.max())
    return _coloured(heat / largest if largest > 0 else torch.zeros_like(heat), _SEQUENTIAL)


def signed_picture(heat: Tensor) -> NDArray[np.uint8]:
    """(H, W) numbers of both signs as (H, W, 3) uint8: 0 is white, above red, below blue, on one scale."""
    largest = float(heat.abs().max())
    return _coloured(0.5 + heat / (2 * largest) if largest > 0 else torch.full_like(heat, 0.5), _DIVERGING)


def overlay(picture: NDArray[np.uint8], heat: Tensor, *, most: float = 0.6) -> NDArray[np.uint8]:
    """A map over its image, more opaque where it is larger.

    Args:
        picture: (H, W, 3) uint8.
        heat: (h, w) of numbers from 0 up, of any size.
        most: opacity in [0, 1] where it is largest.

    Returns:
        (H, W, 3) uint8.
    """
    full = resized(heat, (picture.shape[0], picture.shape[1])).clamp(min=0)
    largest = float(full.max())
    share = (full / largest if largest > 0 else full).numpy()[..., None] * most
    # On grey the colours of the map are not mixed with those of the image.
    grey = picture.mean(axis=2, keepdims=True)
    mixed: NDArray[np.uint8] = ((1 - share) * grey + share * as_picture(full)).round().astype(np.uint8)
    return mixed


def stretched(values: Tensor) -> NDArray[np.uint8]:
    """(C, H, W) of any range, C 1 or 3, as an image (H, W, C) uint8: 0 is middle grey, the largest magnitude an end."""
    largest = float(values.abs().max())
    unit = 0.5 + values / (2 * largest) if largest > 0 else torch.full_like(values, 0.5)
    pixels: NDArray[np.uint8] = (unit * 255).round().byte().permute(1, 2, 0).numpy()
    return pixels


def _coloured(unit: Tensor, name: str) -> NDArray[np.uint8]:
    colours: NDArray[np.float64] = mpl.colormaps[name](unit.clamp(0, 1).numpy())[..., :3]
    picture: NDArray[np.uint8] = (colours * 255).round().astype(np.uint8)
    return picture
