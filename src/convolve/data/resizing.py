"""Images of any shape in the one shape a network takes.

Pixels come from Pillow's bicubic filter (Keys 1981, a = -0.5), widened to the scale when shrinking, so that fine
patterns do not alias. Small images grow by the same rule as large ones shrink.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convolve.data.dataset import ImageArray
from convolve.data.preprocessing import Fit, Preprocessing

NEARLY_SQUARE = 1.1
"""Up to this ratio of the longer side to the shorter one, stretching to a square changes no shape noticeably."""

_NEARLY_ALL = 0.95

_Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def fit_image(image: ImageArray, preprocessing: Preprocessing) -> ImageArray:
    """An image in the network's height and width; the image itself when it has them already.

    Args:
        image: (H, W, C) uint8, C as the preprocessing has it.
        preprocessing: the shape, how to get there, and the colour of padding.

    Returns:
        (h, w, C) uint8, (h, w) being `preprocessing.image_hw`.
    """
    if image.shape[:2] == preprocessing.image_hw:
        return image
    fitted: ImageArray = fit_stack(image[None], preprocessing)[0]
    return fitted


def fit_stack(images: ImageArray, preprocessing: Preprocessing) -> ImageArray:
    """Many images of one shape at once: what `fit_image` makes of each, to the bit, but faster when they are small.

    Args:
        images: (N, H, W, C) uint8.
        preprocessing: as for `fit_image`.

    Returns:
        (N, h, w, C) uint8.
    """
    count, height, width, channels = images.shape
    if (height, width) == preprocessing.image_hw:
        return images
    (h, w), (left, top, right, bottom) = _plan((height, width), preprocessing)
    # One axis at a time: which of them Pillow would take first depends on the sizes and on its version. Below each
    # other all images share the pass along rows, and side by side the one along columns.
    rows = _resize(images.reshape(count * height, width, channels), (w, count * height), left, right, axis=0)
    beside = rows.reshape(count, height, w, channels).swapaxes(0, 1).reshape(height, count * w, channels)
    columns = _resize(beside, (count * w, h), top, bottom, axis=1)
    return _padded(columns.reshape(h, count, w, channels).swapaxes(0, 1), preprocessing)


def choose_fit(original_hw: NDArray[np.int32]) -> tuple[Fit, str]:
    """How images of these shapes should become square, and one sentence why.

    Nothing is cut off unless the user asks for it: a crop loses what lies at the ends of a long image, and nobody sees
    it happen.

    Args:
        original_hw: (N, 2) heights and widths, pixels; rows of zeros (broken images) do not count.
    """
    sides = original_hw[(original_hw > 0).all(axis=1)].astype(np.float64)
    if len(sides) == 0:
        return "pad", "no image could be read, so nothing is known of their shapes"
    aspects = sides.max(axis=1) / sides.min(axis=1)
    share = float((aspects < NEARLY_SQUARE).mean())
    if share >= _NEARLY_ALL:
        return "stretch", f"{share:.0%} of the images are square or nearly so, so stretching distorts nothing visibly"
    return "pad", (
        f"{1 - share:.0%} of the images are clearly longer one way (half of all by {np.median(aspects):.2f} to 1 or "
        "more): padding keeps their shapes and cuts nothing off"
    )


def _plan(image_hw: tuple[int, ...], preprocessing: Preprocessing) -> tuple[tuple[int, int], _Box]:
    """The height and width to scale to, and the part of the image that is scaled."""
    height, width = image_hw
    h, w = preprocessing.image_hw
    match preprocessing.fit:
        case "stretch":
            return (h, w), (0, 0, width, height)
        case "pad":
            scale = min(h / height, w / width)
            return (max(1, round(height * scale)), max(1, round(width * scale))), (0, 0, width, height)
        case "crop":
            scale = max(h / height, w / width)
            left, top = max(0.0, width - w / scale) / 2, max(0.0, height - h / scale) / 2
            return (h, w), (left, top, width - left, height - top)


def _resize(pixels: ImageArray, size: tuple[int, int], start: float, end: float, *, axis: int) -> ImageArray:
    """One pass of Pillow's: scale start..end of the rows (axis 0) or of the columns (axis 1) to the whole `size`."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    box = (start, 0, end, image.height) if axis == 0 else (0, start, image.width, end)
    scaled = np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box))
    return scaled.reshape(size[1], size[0], pixels.shape[2])


def _padded(images: ImageArray, preprocessing: Preprocessing) -> ImageArray:
    """(N, h, w, C) with the images in the middle, an odd pixel more below and to the right."""
    count, height, width, channels = images.shape
    h, w = preprocessing.image_hw
    if (height, width) == (h, w):
        return images
    whole = np.empty((count, h, w, channels), np.uint8)
    whole[:] = preprocessing.fill
    top, left = (h - height) // 2, (w - width) // 2
    whole[:, top : top + height, left : left + width] = images
    return whole
