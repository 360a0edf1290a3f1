from typing import Annotated

import numpy as np
from pydantic import Field

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.geometry import Matrices, scaling


@TRANSFORMS.register("flip_vertical")
class FlipVertical:
    """Swap top and bottom, for images that have neither: cells, surfaces, pictures from above.

    Args:
        probability: share of the images that are mirrored.
    """

    stage = Stage.GEOMETRY
    draws = 1

    def __init__(self, *, probability: Annotated[float, Field(ge=0, le=1)] = 0.5) -> None:
        self._probability = probability

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> Matrices:
        """Mirror images about the horizontal axis, or the identity."""
        y = np.where(uniforms[:, 0] < self._probability, -1.0, 1.0)
        return scaling(np.ones_like(y), y)
