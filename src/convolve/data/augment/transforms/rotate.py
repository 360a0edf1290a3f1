from typing import Annotated

from pydantic import Field

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.geometry import Matrices, rotation


@TRANSFORMS.register("rotate")
class Rotate:
    """Turn about the centre, either way.

    Args:
        degrees: the largest angle; angles are uniform in [-degrees, degrees].
    """

    stage = Stage.GEOMETRY
    draws = 1

    def __init__(self, *, degrees: Annotated[float, Field(ge=0, le=180)] = 10.0) -> None:
        self._degrees = degrees

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> Matrices:
        """Rotations."""
        return rotation(self._degrees * (2 * uniforms[:, 0] - 1))
