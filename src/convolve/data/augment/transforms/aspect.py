from typing import Annotated

import numpy as np
from pydantic import Field

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.geometry import Matrices, scaling


@TRANSFORMS.register("aspect")
class Aspect:
    """Make wider or taller about the centre; areas stay as large as they are.

    Args:
        ratio: 0.1 changes width to height by factors in [1/1.1, 1.1], their logarithms uniform.
    """

    stage = Stage.GEOMETRY
    draws = 1

    def __init__(self, *, ratio: Annotated[float, Field(ge=0, le=3)] = 0.1) -> None:
        self._ratio = ratio

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> Matrices:
        """The square root of the factor along x, its reciprocal along y."""
        factors = np.sqrt((1 + self._ratio) ** (2 * uniforms[:, 0] - 1))
        return scaling(factors, 1 / factors)
