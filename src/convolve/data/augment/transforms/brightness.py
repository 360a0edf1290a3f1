from typing import Annotated

from pydantic import Field
from torch import Tensor

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms, per_image


@TRANSFORMS.register("brightness")
class Brightness:
    """Multiply by a factor, as another exposure would: torchvision's `adjust_brightness`.

    Args:
        strength: factors are uniform in [1 - strength, 1 + strength].
    """

    stage = Stage.COLOUR
    draws = 1

    def __init__(self, *, strength: Annotated[float, Field(ge=0, le=1)] = 0.2) -> None:
        self._strength = strength

    def apply(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        """(N, C, H, W): factor x value."""
        factors = per_image(1 + self._strength * (2 * uniforms[:, 0] - 1), images)
        return (images * factors).clamp_(0, 1)
