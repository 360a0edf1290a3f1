"""An image, its mask, what was predicted, where that is wrong, and how uncertain it is: side by side and small."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from convolve.see.overlays import (
    Colours,
    error_map,
    fitted_hw,
    outlined_overlay,
    shrink_image,
    shrink_map,
    shrink_mask,
    uncertainty_map,
)
from convolve.see.report.segmentation_content import PixelExample

_SIDE = 280
_STRONG = 0.6
_STEPS = 9


@dataclass(frozen=True, slots=True)
class Row:
    """An example as pictures.

    Attributes:
        example: what they show.
        panels: (what it is, (h, w, 3) uint8) from left to right.
    """

    example: PixelExample
    panels: tuple[tuple[str, NDArray[np.uint8]], ...]


def example_rows(examples: Sequence[PixelExample], colours: Colours) -> list[Row]:
    """Pictures of examples, at most 280 pixels a side.

    Args:
        examples: what to show.
        colours: K of red, green and blue, 0..255.
    """
    return [_row(example, colours) for example in examples]


def uncertainty_scale() -> str:
    """The colours of uncertainty maps from sure to unsure, as CSS colours."""
    shades = colormaps["inferno"](np.linspace(0, 1, _STEPS), bytes=True)[:, :3]
    return ", ".join("#{:02x}{:02x}{:02x}".format(*shade) for shade in shades.tolist())


def _row(example: PixelExample, colours: Colours) -> Row:
    height, width = example.truth.shape
    hw = fitted_hw((height, width), _SIDE)
    image = shrink_image(example.image, hw)
    truth, predicted = shrink_mask(example.truth, hw), shrink_mask(example.predicted, hw)
    panels = [
        ("image", image),
        ("truth", outlined_overlay(image, truth, colours, alpha=_STRONG)),
        ("prediction", outlined_overlay(image, predicted, colours, alpha=_STRONG)),
        ("errors", error_map(image, truth, predicted)),
    ]
    if example.entropy is not None:
        entropy = shrink_map(example.entropy, hw)
        panels.append(("uncertainty", uncertainty_map(entropy, highest=math.log(max(2, len(colours))))))
    return Row(example, tuple(panels))
