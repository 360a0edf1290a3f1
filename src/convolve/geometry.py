"""Affine maps of the image plane as matrices: images, masks and boxes are moved by the same ones.

A matrix maps points (x, y, 1) in pixels from the image's centre, x right and y down, so that a rotation or a scale
needs no offset and one matrix serves any image size.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Values: TypeAlias = NDArray[np.float64]
"""(N,) one number an image."""

Matrices: TypeAlias = NDArray[np.float64]
"""(N, 3, 3) one affine matrix an image; its last row is (0, 0, 1)."""


def affine(linear: Sequence[Sequence[Values | float]], shift: Sequence[Values | float] = (0.0, 0.0)) -> Matrices:
    """Matrices from their entries, each (N,) or a number for all; at least one is (N,).

    Args:
        linear: ((xx, xy), (yx, yy)): x' = xx x + xy y, y' = yx x + yy y.
        shift: (x, y), pixels, added afterwards.
    """
    rows: list[list[Values | float]] = [[*linear[0], shift[0]], [*linear[1], shift[1]], [0.0, 0.0, 1.0]]
    entries = np.broadcast_arrays(*(np.asarray(entry, np.float64) for row in rows for entry in row))
    return np.stack(entries, axis=-1).reshape(*entries[0].shape, 3, 3)


def identity(count: int) -> Matrices:
    """(count, 3, 3) matrices that leave every point where it is."""
    return np.tile(np.eye(3), (count, 1, 1))


def translation(x: Values, y: Values) -> Matrices:
    """Shift by x to the right and y down, pixels."""
    return affine(((1.0, 0.0), (0.0, 1.0)), (x, y))


def scaling(x: Values, y: Values) -> Matrices:
    """Enlarge by these factors, along x and along y; -1 mirrors."""
    return affine(((x, 0.0), (0.0, y)))


def rotation(degrees: Values) -> Matrices:
    """Turn clockwise, as seen on a screen."""
    angle = np.radians(degrees)
    return affine(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))


def shearing(degrees: Values) -> Matrices:
    """Slant the vertical lines so much, rows staying horizontal: x' = x + tan(degrees) y."""
    return affine(((1.0, np.tan(np.radians(degrees))), (0.0, 1.0)))


def compose(*steps: Matrices) -> Matrices:
    """The matrices that do all steps, the first argument first."""
    return reduce(lambda before, after: after @ before, steps)


def sampling_theta(matrices: Matrices, *, image_hw: tuple[int, int]) -> Tensor:
    """The `theta` of `torch.nn.functional.affine_grid(..., align_corners=False)` that moves images by these matrices.

    It maps the other way, from the output's places to the input's, and counts in half widths and half heights.

    Args:
        matrices: (N, 3, 3), invertible.
        image_hw: height and width of input and output, pixels.

    Returns:
        (N, 2, 3) float32.
    """
    height, width = image_hw
    half = np.array([width / 2, height / 2, 1.0])
    return torch.from_numpy((np.linalg.inv(matrices) * half / half[:, None])[:, :2].astype(np.float32))


def resample(
    images: Tensor, matrices: Matrices, *, fill: Tensor, mode: Literal["bilinear", "nearest"] = "bilinear"
) -> Tensor:
    """Move every image by its matrix; what comes from outside is filled.

    Mirror images and quarter turns only move pixels, bit by bit; everything else is interpolated, once.

    Args:
        images: (N, C, H, W), floating point.
        matrices: (N, 3, 3).
        fill: (C,) the value outside; it also shines through the outermost half pixel, as bilinear interpolation has it.
        mode: "nearest" for values that are names, such as classes.

    Returns:
        (N, C, H, W), a new tensor, or `images` itself where nothing moves.
    """
    height, width = images.shape[-2:]
    pure = _only_moves_pixels(matrices, square=height == width)
    if not pure.any():
        return _interpolated(images, matrices, fill, mode)
    if (matrices == np.eye(3)).all():
        return images
    moved = torch.empty_like(images)
    for linear in np.unique(matrices[pure, :2, :2], axis=0):
        group = torch.from_numpy(pure & (matrices[:, :2, :2] == linear).all(axis=(1, 2))).to(images.device)
        moved[group] = _pixels_moved(images[group], linear)
    if not pure.all():
        group = torch.from_numpy(~pure).to(images.device)
        moved[group] = _interpolated(images[group], matrices[~pure], fill, mode)
    return moved


def transform_boxes(boxes_xyxy: Tensor, matrices: Matrices, *, image_hw: tuple[int, int]) -> Tensor:
    """The upright boxes around the moved corners, cut off at the image's edge.

    A turned box grows, since it has to hold all of what it held before. One that has left the image has no area.

    Args:
        boxes_xyxy: (B, 4) left, top, right, bottom, in pixels from the image's top left corner, floating point.
        matrices: (B, 3, 3), for every box that of its image.
        image_hw: height and width, pixels.

    Returns:
        (B, 4), of the same type.
    """
    size = torch.tensor([image_hw[1], image_hw[0]], dtype=torch.float64)
    left, top, right, bottom = boxes_xyxy.double().cpu().unbind(dim=1)
    x, y = torch.stack([left, right, right, left], dim=1), torch.stack([top, top, bottom, bottom], dim=1)
    corners = torch.stack([x, y], dim=2) - size / 2
    maps = torch.from_numpy(matrices)
    moved = corners @ maps[:, :2, :2].mT + maps[:, None, :2, 2] + size / 2
    clipped = torch.minimum(moved.clamp(min=0), size)
    return torch.cat([clipped.amin(dim=1), clipped.amax(dim=1)], dim=1).to(boxes_xyxy)


def _only_moves_pixels(matrices: Matrices, *, square: bool) -> NDArray[np.bool_]:
    """(N,) whether the matrix is a mirror image, a quarter turn or both; exactly so, not nearly."""
    linear, shift = matrices[:, :2, :2], matrices[:, :2, 2]
    one_a_row = (linear != 0).sum(axis=2) == 1
    ones = (np.abs(linear).sum(axis=1) == 1) & (np.abs(linear).sum(axis=2) == 1) & one_a_row
    upright = linear[:, 0, 1] == 0
    pure: NDArray[np.bool_] = ones.all(axis=1) & (shift == 0).all(axis=1) & (upright | square)
    return pure


def _pixels_moved(images: Tensor, linear: NDArray[np.float64]) -> Tensor:
    """(N, C, H, W) by one matrix of the kind that only moves pixels."""
    if linear[0, 0] == 0:
        images = images.mT
    signs = linear.sum(axis=1)  # of the entry that counts, for x and for y
    return images.flip([axis for axis, sign in ((-1, signs[0]), (-2, signs[1])) if sign < 0])


def _interpolated(images: Tensor, matrices: Matrices, fill: Tensor, mode: Literal["bilinear", "nearest"]) -> Tensor:
    theta = sampling_theta(matrices, image_hw=(images.shape[2], images.shape[3])).to(images)
    grid = _grid(theta, image_hw=(images.shape[2], images.shape[3]))
    # grid_sample knows no other value outside than zero, so the fill is made zero for a moment.
    offset = fill.to(images)[:, None, None]
    sampled = F.grid_sample(images - offset, grid, mode=mode, padding_mode="zeros", align_corners=False)
    return sampled.add_(offset)


def _grid(theta: Tensor, *, image_hw: tuple[int, int]) -> Tensor:
    """(N, H, W, 2), as `affine_grid` has it; faster, and without a product that may round by its size."""
    y, x = (((2 * torch.arange(size) + 1) / size - 1).to(theta) for size in image_hw)
    xx, xy, x0, yx, yy, y0 = theta.reshape(-1, 6, 1, 1).unbind(dim=1)
    # Filled in place: stacking the two halves takes nine times as long for large images.
    grid = theta.new_empty((len(theta), *image_hw, 2))
    torch.add(xx * x, xy * y[:, None], out=grid[..., 0]).add_(x0)
    torch.add(yx * x, yy * y[:, None], out=grid[..., 1]).add_(y0)
    return grid
