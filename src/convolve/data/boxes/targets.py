"""Boxes of a batch of images as one tensor: rows of numbers, as many for every image as the fullest one has."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from convolve.data.dataset import Boxes

CLASS, KIND = 4, 5
"""Columns; those before are left, top, right, bottom."""

NOTHING, OBJECT, DIFFICULT, CROWD = -1, 0, 1, 2
"""Values of the column KIND; rows of NOTHING only fill up."""

_KINDS = {"object": OBJECT, "difficult": DIFFICULT, "crowd": CROWD}


def box_rows(boxes: Boxes) -> Tensor:
    """(M, 6) float32: left, top, right, bottom in pixels, class index, kind."""
    rows = [(*one.corners, one.index, _KINDS[one.kind]) for one in boxes.objects]
    return torch.from_numpy(np.array(rows, np.float32).reshape(-1, 6))


def stack_rows(rows: Sequence[Tensor]) -> Tensor:
    """(N, M, 6) from (m, 6) of each image, M the largest m; what is missing has the kind NOTHING."""
    stacked = torch.zeros(len(rows), max([1, *(len(some) for some in rows)]), 6)
    stacked[:, :, KIND] = NOTHING
    for place, some in enumerate(rows):
        stacked[place, : len(some)] = some
    return stacked


def present(rows: Tensor) -> Tensor:
    """(m, 6) of an image's (M, 6): those that are there, in their order."""
    return rows[rows[:, KIND] != NOTHING]
