from typing import Annotated

import numpy as np
from pydantic import Field

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.geometry import Matrices, compose, scaling, translation


@TRANSFORMS.register("crop")
class Crop:
    """Show a rectangle out of the image, enlarged to all of it.

    Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6. Where torchvision's RandomResizedCrop draws
    again until the rectangle lies within the image, here only ratios that fit are drawn: the area is as asked for.

    Args:
        area: the smallest share of the image's area; areas are uniform in [area, 1].
        ratio: the largest width to height; its logarithm is uniform within [-log(ratio), log(ratio)].
    """

    stage = Stage.GEOMETRY
    draws = 4

    def __init__(
        self, *, area: Annotated[float, Field(gt=0, le=1)] = 0.5, ratio: Annotated[float, Field(ge=1, le=4)] = 4 / 3
    ) -> None:
        self._area = area
        self._ratio = ratio

    def matrices(self, uniforms: Uniforms, *, image_hw: tuple[int, int]) -> Matrices:
        """The rectangle's centre to the image's, then its sides to the image's."""
        height, width = image_hw
        area = height * width * (self._area + (1 - self._area) * uniforms[:, 0])
        fits = area / height**2, width**2 / area
        low, high = np.log(np.clip(1 / self._ratio, *fits)), np.log(np.clip(self._ratio, *fits))
        ratio = np.exp(low + (high - low) * uniforms[:, 1])
        w, h = np.sqrt(area * ratio), np.sqrt(area / ratio)
        x, y = (width - w) * (uniforms[:, 2] - 0.5), (height - h) * (uniforms[:, 3] - 0.5)
        return compose(translation(-x, -y), scaling(width / w, height / h))
