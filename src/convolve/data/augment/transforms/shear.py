from typing import Annotated

from pydantic import Field

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.geometry import Matrices, shearing


@TRANSFORMS.register("shear")
class Shear:
    """Slant to the left or to the right, as handwriting is.

    Args:
        degrees: the largest slant of a vertical line; slants are uniform in [-degrees, degrees].
    """

    stage = Stage.GEOMETRY
    draws = 1

    def __init__(self, *, degrees: Annotated[float, Field(ge=0, le=60)] = 10.0) -> None:
        self._degrees = degrees

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> Matrices:
        """Shears along x."""
        return shearing(self._degrees * (2 * uniforms[:, 0] - 1))
