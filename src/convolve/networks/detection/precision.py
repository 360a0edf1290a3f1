"""Digits that boxes and losses need."""

import torch
from torch import Tensor


def in_full(outputs: Tensor) -> Tensor:
    """A network's outputs in float32, or in float64 if they are: bfloat16 holds a place at pixel 500 to 2 pixels."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))
