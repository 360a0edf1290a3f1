"""What the training of a detector minimises, and the figure its epochs are chosen by."""

from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from convolve.data.boxes.targets import KIND, NOTHING
from convolve.tasks.detect.assignment import AT_75, match
from convolve.tasks.detect.converting import from_tensor, truth_from_rows
from convolve.tasks.detect.curves import average_precisions


@final
class DetectionObjective:
    """Boxes around objects, with their classes.

    Args:
        classes: K.
        most_objects: M, the largest number of objects of any image, so that batches can be put together.
    """

    score_name = "map"

    def __init__(self, classes: int, *, most_objects: int) -> None:
        self._classes = classes
        # What the loader stacks has one row at least.
        self._most_objects = max(1, most_objects)

    def losses(self, outputs: Any, targets: Tensor) -> Tensor:
        """(N,) float32: the sum of a detector's losses, from what it gives in training mode and targets (N, m, 6)."""
        parts: dict[str, Tensor] = outputs(targets)
        return torch.stack(list(parts.values())).sum(dim=0)

    def condense(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Detections as they are, (N, D, 6); targets (N, m, 6) filled up to (N, M, 6)."""
        filled = targets.new_zeros(len(targets), self._most_objects, 6)
        filled[:, :, KIND] = NOTHING
        filled[:, : targets.shape[1]] = targets
        return outputs, filled

    def evaluate(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Figures of detections (N, D, 6) and targets (N, M, 6), which of classes without objects know nothing.

        Where no image has an object, precision is 0. "loss" is 1 - map: what is minimised cannot be had from
        detections.
        """
        detections = [from_tensor(rows) for rows in outputs]
        matches = match([truth_from_rows(rows) for rows in targets], detections, self._classes)
        figures = average_precisions(matches)
        known = figures[~np.isnan(figures[:, 0])]
        average = float(known.mean()) if len(known) else 0.0
        return {
            "loss": 1 - average,
            "map50": float(known[:, 0].mean()) if len(known) else 0.0,
            "map75": float(known[:, AT_75].mean()) if len(known) else 0.0,
            "map": average,
        }
