"""From the rows of numbers that networks and loaders deal in to boxes."""

from typing import Literal

import numpy as np
from torch import Tensor

from convolve.data.boxes.detections import Detections
from convolve.data.boxes.targets import CLASS, CROWD, DIFFICULT, KIND, OBJECT, present
from convolve.data.dataset import Box, Boxes
from convolve.tasks.detect.overlap import Truth

_KINDS: dict[int, Literal["object", "difficult", "crowd"]] = {
    OBJECT: "object",
    DIFFICULT: "difficult",
    CROWD: "crowd",
}


def from_tensor(rows: Tensor) -> Detections:
    """The detections of an image, from (D, 6): left, top, right, bottom, class index, probability (0: only fills up).

    >>> import torch
    >>> from_tensor(torch.tensor([[0, 0, 5, 5, 2, 0.5], [1, 1, 5, 5, 0, 0.75], [0, 0, 0, 0, 0, 0]])).labels.tolist()
    [0, 2]
    """
    numbers = rows.detach().cpu().numpy().astype(np.float64)
    numbers = numbers[numbers[:, 5] > 0]
    numbers = numbers[np.argsort(-numbers[:, 5], kind="stable")]
    return Detections(numbers[:, :4], numbers[:, 4].astype(np.int64), numbers[:, 5])


def boxes_from_rows(rows: Tensor, hw: tuple[int, int]) -> Boxes:
    """The truth of an image, from (M, 6) of `data.boxes.targets`, in its order.

    Args:
        rows: those of the kind NOTHING are left out.
        hw: height and width of the image, pixels.
    """
    return Boxes(hw, tuple(_box(row) for row in present(rows).tolist()))


def truth_from_rows(rows: Tensor) -> Truth:
    """The same as arrays, for which the image's size need not be known."""
    numbers = present(rows).cpu().numpy().astype(np.float64)
    kinds = numbers[:, KIND]
    return Truth(numbers[:, :4], numbers[:, CLASS].astype(np.int64), kinds == OBJECT, kinds == CROWD)


def _box(row: list[float]) -> Box:
    left, top, right, bottom = row[:4]
    return Box(int(row[CLASS]), (left, top, right, bottom), _KINDS[int(row[KIND])])
