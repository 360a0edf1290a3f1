from typing import Annotated

from pydantic import Field

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.geometry import Matrices, scaling


@TRANSFORMS.register("scale")
class Scale:
    """Enlarge or shrink about the centre, the one as often as the other.

    Args:
        ratio: 0.1 draws factors in [1/1.1, 1.1], their logarithms uniform.
    """

    stage = Stage.GEOMETRY
    draws = 1

    def __init__(self, *, ratio: Annotated[float, Field(ge=0, le=3)] = 0.1) -> None:
        self._ratio = ratio

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> Matrices:
        """Equal factors along both axes."""
        factors = (1 + self._ratio) ** (2 * uniforms[:, 0] - 1)
        return scaling(factors, factors)
