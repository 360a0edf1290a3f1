from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from convolve.data.augment.transform import TRANSFORMS, Stage, Uniforms
from convolve.errors import UserError
from convolve.randomness import numpy_generator


@TRANSFORMS.register("random_erasing")
class RandomErasing:
    """Overwrite a rectangle with random values, so that no single detail decides.

    Zhong, Zheng, Kang, Li and Yang, "Random Erasing Data Augmentation", 2017 (AAAI 2020), algorithm 1, its RE-R. Where
    the paper draws again until the rectangle lies within the image, here only ratios that fit are drawn, and their
    logarithms are uniform, so that tall and wide are as frequent.

    Args:
        probability: share of the images that lose a rectangle.
        smallest: the smallest share of the image's area that is overwritten.
        largest: the largest.
        ratio: the largest height to width, or width to height.

    Raises:
        UserError: `smallest` is larger than `largest`.
    """

    stage = Stage.ERASING
    draws = 6

    def __init__(
        self,
        *,
        probability: Annotated[float, Field(ge=0, le=1)] = 0.5,
        smallest: Annotated[float, Field(gt=0, lt=1)] = 0.02,
        largest: Annotated[float, Field(gt=0, lt=1)] = 0.4,
        ratio: Annotated[float, Field(ge=1, le=100)] = 1 / 0.3,
    ) -> None:
        if smallest > largest:
            raise UserError(
                f"augment.random_erasing.smallest={smallest} is larger than largest={largest}",
                "Give smallest <= largest, shares of the image's area.",
            )
        self._probability = probability
        self._smallest = smallest
        self._largest = largest
        self._ratio = ratio

    def apply(self, images: Tensor, uniforms: Uniforms) -> Tensor:
        """(N, C, H, W) with one rectangle of some images overwritten."""
        channels, height, width = images.shape[1:]
        chosen = np.flatnonzero(uniforms[:, 0] < self._probability)
        if len(chosen) == 0:
            return images
        erased = images.clone()
        rectangles = self._rectangles(uniforms[chosen], height, width)
        for position, key, (top, left, bottom, right) in zip(chosen, uniforms[chosen, 5], rectangles, strict=True):
            generator = numpy_generator("random_erasing", int(key * 2**53))
            values = generator.random((channels, bottom - top, right - left), dtype=np.float32)
            erased[position, :, top:bottom, left:right] = torch.from_numpy(values).to(images)
        return erased

    def _rectangles(self, uniforms: Uniforms, height: int, width: int) -> list[list[int]]:
        """Top, left, bottom and right of each, in whole pixels, at least one pixel large."""
        area = height * width * (self._smallest + (self._largest - self._smallest) * uniforms[:, 1])
        fits = area / width**2, height**2 / area
        low, high = np.log(np.clip(1 / self._ratio, *fits)), np.log(np.clip(self._ratio, *fits))
        ratio = np.exp(low + (high - low) * uniforms[:, 2])
        h = np.clip(np.rint(np.sqrt(area * ratio)), 1, height)
        w = np.clip(np.rint(np.sqrt(area / ratio)), 1, width)
        top, left = np.floor((height - h + 1) * uniforms[:, 3]), np.floor((width - w + 1) * uniforms[:, 4])
        rectangles: list[list[int]] = np.stack([top, left, top + h, left + w], axis=1).astype(np.int64).tolist()
        return rectangles
