from typing import Annotated

from pydantic import Field

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.geometry import Matrices, translation


@TRANSFORMS.register("translate")
class Translate:
    """Shift along both axes, each by itself.

    Args:
        share: the largest shift, as a share of the width and of the height; shifts are uniform.
    """

    stage = Stage.GEOMETRY
    draws = 2

    def __init__(self, *, share: Annotated[float, Field(ge=0, le=1)] = 0.1) -> None:
        self._share = share

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> Matrices:
        """Shifts by fractions of pixels."""
        x, y = self._share * (2 * uniforms.T - 1)
        return translation(image_hw[1] * x, image_hw[0] * y)
