"""A quick look at some images of a data set, enough to choose an image size, channels and a background."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import Sample
from convolve.data.decoding import BrokenImage, decode_with_facts
from convolve.errors import UserError

_IMAGES = 200


@dataclass(frozen=True)
class Survey:
    """What a sample of the images is like.

    Attributes:
        original_hw: (n, 2) heights and widths, pixels.
        channels: 1 if all of them are grey, else 3.
        border: the median colour of the outermost pixels, 0..255 per channel: the background where there is one.
    """

    original_hw: NDArray[np.int32]
    channels: Literal[1, 3]
    border: tuple[int, ...]

    @property
    def median_hw(self) -> tuple[int, int]:
        """Median height and median width, pixels."""
        height, width = np.median(self.original_hw, axis=0)
        return int(height), int(width)


def survey(samples: Sequence[Sample]) -> Survey:
    """Look at up to 200 images, evenly spaced; broken ones are passed over.

    Raises:
        UserError: none of them can be decoded.
    """
    sizes, borders, grey, reason = [], [], True, ""
    for position in np.unique(np.linspace(0, len(samples) - 1, _IMAGES).astype(int)):
        try:
            decoded = decode_with_facts(samples[position].image, channels=3, at_least_hw=(64, 64))
        except BrokenImage as error:
            reason = f"{samples[position].name}: {error}"
            continue
        pixels = decoded.pixels
        sizes.append(decoded.original_hw)
        borders.append(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean(axis=0))
        grey = grey and bool((pixels[..., :1] == pixels).all())
    if not sizes:
        raise UserError(f"no image can be decoded: {reason}", "`convolve look DATA` lists what is wrong with each.")
    channels: Literal[1, 3] = 1 if grey else 3
    border = tuple(round(value) for value in np.median(borders, axis=0)[:channels])
    return Survey(np.array(sizes, dtype=np.int32), channels, border)
