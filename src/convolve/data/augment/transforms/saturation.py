from typing import Annotated

from pydantic import Field
from torch import Tensor

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms, luma, per_image


@TRANSFORMS.register("saturation")
class Saturation:
    """Move colours away from grey or towards it: torchvision's `adjust_saturation`. Only of RGB images.

    Args:
        strength: factors on the distance are uniform in [1 - strength, 1 + strength].
    """

    stage = Stage.COLOUR
    draws = 1

    def __init__(self, *, strength: Annotated[float, Field(ge=0, le=1)] = 0.2) -> None:
        self._strength = strength

    def apply(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        """(N, C, H, W): grey + factor x (value - grey), pixel by pixel."""
        if images.shape[1] != 3:
            return images
        factors = per_image(1 + self._strength * (2 * uniforms[:, 0] - 1), images)
        return (images * factors).add_(luma(images).mul_(1 - factors)).clamp_(0, 1)
