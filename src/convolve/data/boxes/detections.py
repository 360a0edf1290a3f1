"""What a detector says of an image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes with a class and a probability, the most probable first.

    Attributes:
        corners: (M, 4) float64: left, top, right, bottom in pixels of the upright image, continuous, within it.
        labels: (M,) int64 class indices.
        probabilities: (M,) float64 in [0, 1], descending.
    """

    corners: NDArray[np.float64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
