"""The part of an image that a network for masks is asked about, and where its pixels are."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from convolve.data.dataset import IGNORE
from convolve.data.rasters import Pixels
from convolve.deploy.segmentation.model import SegmentationModel
from convolve.deploy.segmentation.prediction import check_source, fitted, with_channels
from convolve.errors import UserError
from convolve.workflow.explaining.explainer import Pointed

# Of larger images so many pixels a side are looked at, around what is asked about: gradients of more need gigabytes.
MOST = 512


class Window(NamedTuple):
    """A part of an image as a network sees it.

    Attributes:
        image: (C, h, w) in [0, 1]; a small image is continued by reflection.
        shown_hw: height and width of what of `image` is the part itself, from the top left.
        top, left: of it, and `height`, `width`: pixels of the upright image.
    """

    image: Tensor
    shown_hw: tuple[int, int]
    top: int
    left: int
    height: int
    width: int

    def cell(self, x: int, y: int) -> tuple[int, int]:
        """Row and column in `image` of a pixel of the upright image."""
        rows, columns = self.shown_hw
        row, column = int((y - self.top + 0.5) * rows / self.height), int((x - self.left + 0.5) * columns / self.width)
        return min(row, rows - 1), min(column, columns - 1)

    def cells(self, region: tuple[int, int, int, int]) -> tuple[slice, slice]:
        """Rows and columns in `image` of a region of the upright image: left, top, right, bottom."""
        left, top, right, bottom = region
        (first_row, first_column), (last_row, last_column) = self.cell(left, top), self.cell(right - 1, bottom - 1)
        return slice(first_row, last_row + 1), slice(first_column, last_column + 1)

    def seen(self, mask: NDArray[np.uint8]) -> Tensor:
        """(h, w) int64: the classes of a mask (H, W) of the whole image, at the size of `image`."""
        part = torch.tensor(mask[self.top : self.top + self.height, self.left : self.left + self.width])
        classes = torch.full(self.image.shape[1:], IGNORE, dtype=torch.int64)
        shown = F.interpolate(part[None, None].float(), size=self.shown_hw, mode="nearest-exact")[0, 0].long()
        classes[: self.shown_hw[0], : self.shown_hw[1]] = shown
        return classes


def window_of(model: SegmentationModel, image: Path, pointed: Pointed) -> Window:
    """What is looked at of an image: around what is pointed at, else its middle.

    Raises:
        BrokenImage: the image cannot be read.
        UserError: what is pointed at is not in it, or the image does not suit the model.
    """
    centre, corners = pointed.pixel, [pointed.pixel] if pointed.pixel else []
    if pointed.region:
        left, top, right, bottom = pointed.region
        centre, corners = ((left + right) // 2, (top + bottom) // 2), [(left, top), (right - 1, bottom - 1)]
    window = read_window(model, image, centre, (MOST, MOST))
    for x, y in corners:
        across, down = x - window.left, y - window.top
        if not (0 <= across < window.width and 0 <= down < window.height):
            raise UserError(
                f"{image.name}: {x}, {y} is not in what is looked at: columns {window.left} to "
                f"{window.left + window.width - 1}, rows {window.top} to {window.top + window.height - 1}",
                "Point at a place in the image; a region may not be larger than this.",
            )
    return window


def read_window(
    model: SegmentationModel, image: Path | Pixels, centre: tuple[int, int] | None, most_hw: tuple[int, int]
) -> Window:
    """What a model sees around a place.

    Args:
        model: whose preprocessing.
        image: a file, or (H, W, C) pixels of the model's bands.
        centre: x, y of the upright image; None = its middle.
        most_hw: pixels of the model's input, at most.

    Raises:
        BrokenImage: the image cannot be read.
        UserError: it does not suit the model.
    """
    preprocessing = model.preprocessing
    with model.source(image, None) as source:
        check_source(source, preprocessing, image.name if isinstance(image, Path) else "an array")
        height, width = (
            min(length, max(1, round(most / preprocessing.scale)))
            for length, most in zip(source.hw, most_hw, strict=True)
        )
        x, y = centre or (source.hw[1] // 2, source.hw[0] // 2)
        top = min(max(0, y - height // 2), source.hw[0] - height)
        left = min(max(0, x - width // 2), source.hw[1] - width)
        pixels, valid = source.read(top, left, height, width)
    unit = preprocessing.to_unit(with_channels(pixels, preprocessing.channels), valid)[None]
    shown_hw = preprocessing.scaled_hw((height, width))
    images, _ = fitted(unit, shown_hw, model.network.smallest_side)
    return Window(images[0], shown_hw, top, left, height, width)
