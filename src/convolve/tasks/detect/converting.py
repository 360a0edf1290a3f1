"""From the rows of numbers that networks and loaders deal in to boxes."""

import numpy as np
from torch import Tensor

from convolve.data.boxes.detections import Detections
from convolve.data.boxes.targets import CLASS, CROWD, KIND, OBJECT, present
from convolve.tasks.detect.overlap import Truth


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


def truth_from_rows(rows: Tensor) -> Truth:
    """The truth of an image, from (M, 6) of `data.boxes.targets`, in its order; what only fills up is left out."""
    numbers = present(rows).cpu().numpy().astype(np.float64)
    kinds = numbers[:, KIND]
    return Truth(numbers[:, :4], numbers[:, CLASS].astype(np.int64), kinds == OBJECT, kinds == CROWD)
