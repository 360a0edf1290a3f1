from typing import Annotated

from pydantic import Field
from torch import Tensor

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms, luma, per_image


@TRANSFORMS.register("contrast")
class Contrast:
    """Move values away from the image's mean grey or towards it: torchvision's `adjust_contrast`.

    Args:
        strength: factors on the distance are uniform in [1 - strength, 1 + strength].
    """

    stage = Stage.COLOUR
    draws = 1

    def __init__(self, *, strength: Annotated[float, Field(ge=0, le=1)] = 0.2) -> None:
        self._strength = strength

    def apply(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        """(N, C, H, W): mean + factor x (value - mean)."""
        factors = per_image(1 + self._strength * (2 * uniforms[:, 0] - 1), images)
        mean = luma(images.mean(dim=(2, 3), keepdim=True))
        return (images * factors).add_(mean * (1 - factors)).clamp_(0, 1)
