from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms, per_image


@TRANSFORMS.register("hue")
class Hue:
    """Turn the colour circle: torchvision's `adjust_hue`. Wrong where colour is the label.

    Images that are not RGB stay as they are.

    Args:
        strength: the largest turn, as a share of the circle; turns are uniform in [-strength, strength].
    """

    stage = Stage.COLOUR
    draws = 1

    def __init__(self, *, strength: Annotated[float, Field(ge=0, le=0.5)] = 0.05) -> None:
        self._strength = strength

    def apply(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        """(N, C, H, W): in HSV, hue + turn."""
        if images.shape[1] != 3:
            return images
        value = images.amax(dim=1, keepdim=True)
        chroma = value - images.amin(dim=1, keepdim=True)
        turned = _sextants(images, value, chroma) + per_image(6 * self._strength * (2 * uniforms[:, 0] - 1), images)
        # Red, green and blue from hue, value and chroma: A. R. Smith, "Color gamut transform pairs", SIGGRAPH 1978, in
        # its closed form.
        position = (turned + torch.tensor([5.0, 3.0, 1.0]).to(images)[:, None, None]).remainder_(6)
        share = torch.minimum(position, 4 - position).clamp_(0, 1)
        return (value - chroma * share).clamp_(0, 1)


def _sextants(images: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """(N, 1, H, W) the hue, in sixths of the circle from red; grey has 0."""
    red, green, blue = images.chunk(3, dim=1)
    divisor = torch.where(chroma > 0, chroma, 1)
    near_red, near_green, near_blue = (green - blue) / divisor, 2 + (blue - red) / divisor, 4 + (red - green) / divisor
    return torch.where(value == red, near_red, torch.where(value == green, near_green, near_blue))
