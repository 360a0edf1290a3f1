"""Regions that may hold an object of whatever class: superpixels, merged until one is left (selective search).

Uijlings, van de Sande, Gevers and Smeulders, "Selective Search for Object Recognition", IJCV 104 (2013), 154-171, as
OpenCV computes it. OpenCV finds the same regions each time, but in another order from call to call, so that "the first
2,000" would be others each time: here the order follows from a seed alone.
"""

from typing import Any, Literal, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import ImageArray
from convolve.randomness import numpy_generator

Mode: TypeAlias = Literal["fast", "quality"]
"""How many ways of merging are tried: "fast" is what R-CNN and Fast R-CNN use."""

MOST_REGIONS = 2000

# As R-CNN's script has it; its images are nearly square. The height bounds the work on strips.
_WIDEST, _TALLEST = 500, 1000
# Of the superpixels' scale k, and of how it grows, in pixels; also their smallest area. R-CNN's script has k of 50 and
# 100, OpenCV's default is 150: with that, what is smaller than a superpixel is lost.
_SCALE, _SCALE_STEP = 50, 50
# R-CNN drops what is under 20 pixels; a blood platelet has 17.
_SMALLEST = 8


class Searched(NamedTuple):
    """The regions of an image, before any of them is left out.

    Attributes:
        boxes: (R, 4) uint16 left, top, right, bottom, pixels of the image as it was searched; each once, ascending.
        searched_hw: height and width of the image as it was searched, pixels.
        image_hw: height and width of the image itself.
    """

    boxes: NDArray[np.uint16]
    searched_hw: tuple[int, int]
    image_hw: tuple[int, int]


def selective_search(
    image: ImageArray, *, mode: Mode = "fast", most: int = MOST_REGIONS, seed: int = 0
) -> NDArray[np.float64]:
    """Proposals for the places of objects.

    Args:
        image: (H, W, 3) uint8 RGB, or (H, W) or (H, W, 1) grey.
        mode: how thorough.
        most: at most so many, drawn evenly from all.
        seed: of the order, in which no region is before another for what it shows.

    Returns:
        (R, 4) float64 left, top, right, bottom, continuous pixels of the image, R <= `most`; each once, within the
        image. None where the image is under 8 pixels wide or high.
    """
    return ranked(search(image, mode), most=most, seed=seed)


def search(image: ImageArray, mode: Mode) -> Searched:
    """All regions of an image (see `selective_search`), searched at a width of at most 500 pixels.

    Regions that are under 8 pixels wide or high there are left out; the paper's are from 20 pixels.
    """
    height, width = image.shape[:2]
    bgr: NDArray[Any] = _bgr(image)
    factor = min(1.0, _WIDEST / width, _TALLEST / height)
    searched_hw = max(1, round(height * factor)), max(1, round(width * factor))
    if factor < 1:
        bgr = cv2.resize(bgr, searched_hw[::-1], interpolation=cv2.INTER_AREA)
    if min(searched_hw) < _SMALLEST:
        return Searched(np.zeros((0, 4), np.uint16), searched_hw, (height, width))
    engine = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    engine.setBaseImage(bgr)
    if mode == "fast":
        engine.switchToSelectiveSearchFast(_SCALE, _SCALE_STEP)
    else:
        engine.switchToSelectiveSearchQuality(_SCALE, _SCALE_STEP)
    found = np.asarray(engine.process(), np.int64).reshape(-1, 4)
    found = found[(found[:, 2:] >= _SMALLEST).all(axis=1)]
    corners = np.concatenate((found[:, :2], found[:, :2] + found[:, 2:]), axis=1)
    return Searched(np.unique(corners, axis=0).astype(np.uint16), searched_hw, (height, width))


def ranked(searched: Searched, *, most: int, seed: int) -> NDArray[np.float64]:
    """(R, 4) float64: the regions in pixels of the image itself, in the order of a seed, R <= `most`."""
    order = numpy_generator(seed, "selective search").permutation(len(searched.boxes))[:most]
    (searched_height, searched_width), (height, width) = searched.searched_hw, searched.image_hw
    # Multiplied first: what touches an edge touches it exactly.
    scaled = searched.boxes[order].astype(np.float64) * (width, height, width, height)
    return scaled / (searched_width, searched_height, searched_width, searched_height)


def _bgr(image: ImageArray) -> ImageArray:
    """(H, W, 3), as OpenCV orders colours."""
    grey = image[..., None] if image.ndim == 2 else image
    return np.ascontiguousarray(np.broadcast_to(grey, (*grey.shape[:2], 3))[..., ::-1])
