from typing import Annotated

import numpy as np
from pydantic import Field

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.geometry import Matrices, affine

_COSINES = np.array([1.0, 0.0, -1.0, 0.0])
_SINES = np.array([0.0, 1.0, 0.0, -1.0])


@TRANSFORMS.register("quarter_turns")
class QuarterTurns:
    """Turn by 90, 180 or 270 degrees, each as often; no pixel is interpolated.

    Images that are not square are only turned by 180 degrees, as often as those and 270 together: anything else would
    cut off their ends.

    Args:
        probability: share of the images that are turned; 0.75 makes all four positions equally frequent.
    """

    stage = Stage.GEOMETRY
    draws = 1

    def __init__(self, *, probability: Annotated[float, Field(ge=0, le=1)] = 0.75) -> None:
        self._probability = probability

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> Matrices:
        """Turns by multiples of 90 degrees, exact."""
        turned = uniforms[:, 0] < self._probability
        quarters = np.where(turned, 1 + np.floor(3 * uniforms[:, 0] / max(self._probability, 1e-300)), 0)
        quarters = np.minimum(quarters, 3).astype(np.int64)
        if image_hw[0] != image_hw[1]:
            quarters -= quarters % 2
        cosine, sine = _COSINES[quarters], _SINES[quarters]
        return affine(((cosine, -sine), (sine, cosine)))
