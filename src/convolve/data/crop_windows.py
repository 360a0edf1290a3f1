"""Windows cut from images and masks in their own sizes, also where they reach beyond the edge."""

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from convolve.data.dataset import IGNORE
from convolve.data.native_pack import NativePack
from convolve.data.pixel_preprocessing import PixelPreprocessing

Windows: TypeAlias = NDArray[np.int64]
"""(N, 2) top and left of each window, pixels of the image; negative where it begins outside."""


def cut_padded(
    pack: NativePack, rows: NDArray[np.int64], corners: Windows, hw: tuple[int, int], preprocessing: PixelPreprocessing
) -> tuple[Tensor, Tensor]:
    """Windows of one size; what lies outside of an image has the preprocessing's fill and no class.

    Args:
        pack: images and masks.
        rows: (N,) the image of each window.
        corners: (N, 2) its place; it may lie outside in part or in whole.
        hw: its height and width, pixels.
        preprocessing: how values become [0, 1].

    Returns:
        Images (N, C, h, w) float32 in [0, 1] and masks (N, h, w) uint8.
    """
    pixels = np.zeros((len(rows), *hw, pack.channels), pack.dtype)
    masks = np.full((len(rows), *hw), IGNORE, np.uint8)
    valid = np.zeros((len(rows), *hw), np.bool_)
    for place, (row, corner) in enumerate(zip(rows.tolist(), corners.tolist(), strict=True)):
        inside, there = _overlap(corner, hw, pack.hw[row].tolist())
        pixels[place][there] = pack.image(row)[inside]
        masks[place][there] = pack.mask(row)[inside]
        whole = pack.valid(row)
        valid[place][there] = True if whole is None else whole[inside]
    return preprocessing.to_unit(pixels, valid), torch.from_numpy(masks)


def cut_mirrored(
    pack: NativePack, rows: NDArray[np.int64], corners: Windows, hw: tuple[int, int], preprocessing: PixelPreprocessing
) -> tuple[Tensor, Tensor]:
    """Windows of one size; beyond its edge an image goes on mirrored, as `numpy.pad(mode="reflect")` has it.

    Arguments and returned values are those of `cut_padded`.
    """
    pixels = np.empty((len(rows), *hw, pack.channels), pack.dtype)
    masks = np.empty((len(rows), *hw), np.uint8)
    valid = np.ones((len(rows), *hw), np.bool_)
    for place, (row, corner) in enumerate(zip(rows.tolist(), corners.tolist(), strict=True)):
        inside = _mirrored(corner, hw, pack.hw[row].tolist())
        pixels[place] = pack.image(row)[inside]
        masks[place] = pack.mask(row)[inside]
        whole = pack.valid(row)
        if whole is not None:
            valid[place] = whole[inside]
    return preprocessing.to_unit(pixels, valid), torch.from_numpy(masks)


def resized(images: Tensor, masks: Tensor, hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) and masks (N, H, W) at another height and width; classes are never mixed."""
    if images.shape[2:] == hw:
        return images, masks
    scaled = F.interpolate(images, hw, mode="bilinear", antialias=True, align_corners=False)
    return scaled.clamp_(0, 1), F.interpolate(masks[:, None], hw, mode="nearest-exact")[:, 0]


def _overlap(
    corner: list[int], hw: tuple[int, int], image_hw: list[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What a window and an image have in common: as slices of the image, and of the window."""
    inside, there = [], []
    for start, length, size in zip(corner, hw, image_hw, strict=True):
        first, last = min(max(start, 0), size), min(max(start + length, 0), size)
        inside.append(slice(first, last))
        there.append(slice(first - start, last - start) if last > first else slice(0, 0))
    return tuple(inside), tuple(there)


def _mirrored(corner: list[int], hw: tuple[int, int], image_hw: list[int]) -> tuple[Any, ...]:
    """A window as an index into the image: slices where it lies within, for speed."""
    if all(0 <= start <= size - length for start, length, size in zip(corner, hw, image_hw, strict=True)):
        return tuple(slice(start, start + length) for start, length in zip(corner, hw, strict=True))
    return np.ix_(*(_mirrored_axis(*axis) for axis in zip(corner, hw, image_hw, strict=True)))


def _mirrored_axis(start: int, length: int, size: int) -> NDArray[np.int64]:
    if size == 1:
        return np.zeros(length, np.int64)
    place = np.arange(start, start + length) % (2 * size - 2)
    return np.minimum(place, 2 * size - 2 - place)
