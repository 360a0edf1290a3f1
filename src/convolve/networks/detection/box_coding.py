"""Boxes relative to other boxes: what a network learns to say (Girshick et al., CVPR 2014, appendix C)."""

import math

import torch
from torch import Tensor

_LARGEST_GROWTH = math.log(1000 / 16)
"""Of a logarithm of sides, against overflow (torchvision)."""

_LEAST_SIDE = 0.01
"""Pixels; boxes clipped to less are outside of the image."""


def encode(boxes: Tensor, references: Tensor, *, deviations: tuple[float, float, float, float]) -> Tensor:
    """(M, 4) offsets of boxes (M, 4) from references (M, 4): (dx / w, dy / h, ln of the sides' ratios) / deviations."""
    centres, sides = _centres_and_sides(boxes)
    reference_centres, reference_sides = _centres_and_sides(references)
    offsets = torch.cat(((centres - reference_centres) / reference_sides, (sides / reference_sides).log()), dim=-1)
    return offsets / offsets.new_tensor(deviations)


def decode(offsets: Tensor, references: Tensor, *, deviations: tuple[float, float, float, float]) -> Tensor:
    """(..., 4) boxes from offsets and references of the same shape; the inverse of `encode`."""
    offsets = offsets * offsets.new_tensor(deviations)
    centres, sides = _centres_and_sides(references)
    centres = centres + offsets[..., :2] * sides
    halves = sides * offsets[..., 2:].clamp(max=_LARGEST_GROWTH).exp() / 2
    return torch.cat((centres - halves, centres + halves), dim=-1)


def clip(boxes: Tensor, hw: Tensor) -> Tensor:
    """Boxes (..., 4) cut off at the edges of an image of (height, width)."""
    height, width = hw.to(boxes).unbind(dim=-1)
    return torch.minimum(boxes.clamp(min=0), torch.stack((width, height, width, height), dim=-1))


def with_sides(boxes: Tensor, least: float = _LEAST_SIDE) -> Tensor:
    """(M,) bool: which of (M, 4) boxes are at least so many pixels wide and high; by default, which are any at all."""
    return (boxes[:, 2:] - boxes[:, :2] >= least).all(dim=-1)


def _centres_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
