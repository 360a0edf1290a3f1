from typing import Annotated

import numpy as np
from pydantic import Field

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.geometry import Matrices, scaling


@TRANSFORMS.register("flip_horizontal")
class FlipHorizontal:
    """Swap left and right. Wrong where the side matters: text, digits, organs.

    Args:
        probability: share of the images that are mirrored.
    """

    stage = Stage.GEOMETRY
    draws = 1

    def __init__(self, *, probability: Annotated[float, Field(ge=0, le=1)] = 0.5) -> None:
        self._probability = probability

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> Matrices:
        """Mirror images about the vertical axis, or the identity."""
        x = np.where(uniforms[:, 0] < self._probability, -1.0, 1.0)
        return scaling(x, np.ones_like(x))
