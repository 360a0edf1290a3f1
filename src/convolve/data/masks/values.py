"""What a mask holds, before anything is known of classes: numbers or colours, exactly as they are stored.

Unlike an image's pixels (`data.decoding`) a palette's number counts besides its colour, 16 bits stay 16, and nothing
is blended: where alpha is below one half the value is 0 (black), elsewhere it is the stored one. A palette's own
transparency is not looked at, since its numbers are what counts. Orientation notes are followed as in images.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convolve.data.dataset import ImageArray
from convolve.data.decoding import MAX_PIXELS, BrokenImage, check_pixels, open_image, orientation_of, stand_upright
from convolve.data.rasters import describe_raster, read_pixels, starts_as_tiff

Storage: TypeAlias = Literal["grey", "palette", "colour"]
Colour: TypeAlias = tuple[int, int, int]
Numbers: TypeAlias = NDArray[np.integer[Any]]

AS_GREY = 0x010101
"""Times a grey value, it is that grey as a colour 0xRRGGBB."""

_GREY = {"1", "L", "I", "F"}
_OPAQUE = 128


@dataclass(frozen=True, slots=True)
class MaskValues:
    """A mask as it is stored.

    Attributes:
        storage: grey and palette values are numbers, colour values are 0xRRGGBB.
        values: (H, W) of them.
        palette: (256,) int32, 0xRRGGBB of each number; None unless the storage is a palette.
        transparent: how many pixels have alpha below one half.
    """

    storage: Storage
    values: Numbers
    palette: NDArray[np.int32] | None = None
    transparent: int = 0


def pack_colour(colour: Colour) -> int:
    """A colour as the number 0xRRGGBB."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def unpack_colour(packed: int) -> Colour:
    """The colour of a number 0xRRGGBB."""
    return packed >> 16 & 255, packed >> 8 & 255, packed & 255


def hexadecimal(packed: int) -> str:
    """A colour 0xRRGGBB as people write it.

    >>> hexadecimal(0x3C1098)
    '#3c1098'
    """
    return f"#{packed:06x}"


def read_values(source: Path | ImageArray, *, max_pixels: int = MAX_PIXELS) -> MaskValues:
    """A mask's values.

    Args:
        source: a file in any format that Pillow reads, or (H, W), (H, W, 3) or (H, W, 4) uint8.
        max_pixels: larger masks are broken.

    Raises:
        BrokenImage: there are no such values; the message says why.
    """
    if not isinstance(source, Path):
        return _of_array(source, max_pixels)
    try:
        with open_image(source, max_pixels=max_pixels) as image:
            image.load()
            return _of_image(image)
    except BrokenImage:
        if not starts_as_tiff(source):
            raise
    return _of_raster(source, max_pixels)


def _of_array(array: ImageArray, max_pixels: int) -> MaskValues:
    if array.dtype != np.uint8 or array.size == 0 or not (array.ndim == 2 or array.shape[2:] in {(3,), (4,)}):
        raise BrokenImage(f"an array of {array.dtype} {array.shape} is not a mask: (H, W) or (H, W, 3) uint8 is")
    check_pixels(array.shape[1], array.shape[0], max_pixels)
    return MaskValues("grey", array) if array.ndim == 2 else _of_colours(array)


def _of_image(image: Image.Image) -> MaskValues:
    orientation = orientation_of(image)
    if image.mode == "P":
        return MaskValues("palette", stand_upright(np.asarray(image), orientation), _palette(image))
    if image.mode in _GREY or image.mode.startswith("I;16"):
        return MaskValues("grey", stand_upright(_whole(np.asarray(image)), orientation))
    with_alpha = image.mode in ("LA", "PA", "RGBA", "La", "RGBa")
    return _of_colours(stand_upright(np.asarray(image.convert("RGBA" if with_alpha else "RGB")), orientation))


def _of_raster(path: Path, max_pixels: int) -> MaskValues:
    """A TIFF that Pillow does not read: 32-bit or signed numbers, or an uncommon compression."""
    height, width = describe_raster(path).hw
    check_pixels(width, height, max_pixels)
    pixels = read_pixels(path).pixels
    if pixels.shape[2] != 1:
        raise BrokenImage(f"it has {pixels.shape[2]} bands: a mask has one, or is an RGB image of 8 bits")
    return MaskValues("grey", _whole(pixels[..., 0]))


def _palette(image: Image.Image) -> NDArray[np.int32]:
    stored = np.zeros((256, 3), np.uint8)
    colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    stored[: len(colours)] = colours
    return _packed(stored)


def _whole(pixels: NDArray[Any]) -> Numbers:
    """Grey values as whole numbers; black and white are 0 and 255."""
    if pixels.dtype == np.bool_:
        return np.where(pixels, np.uint8(255), np.uint8(0))
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    # Some programs write class numbers as floating point, QGIS for one.
    if not np.isfinite(pixels).all() or (np.rint(pixels) != pixels).any() or np.abs(pixels).max() >= 2**31:
        raise BrokenImage("values that are not whole numbers, or too large for any class")
    return pixels.astype(np.int32)


def _of_colours(pixels: ImageArray) -> MaskValues:
    packed = _packed(pixels)
    if pixels.shape[2] == 3:
        return MaskValues("colour", packed)
    hidden = pixels[..., 3] < _OPAQUE
    packed[hidden] = 0
    return MaskValues("colour", packed, transparent=int(hidden.sum()))


def _packed(colours: ImageArray) -> NDArray[np.int32]:
    """0xRRGGBB of the last axis."""
    packed = colours[..., 0].astype(np.int32)
    for channel in (1, 2):  # in place, since masks may be of hundreds of megapixels
        packed <<= 8
        packed |= colours[..., channel]
    return packed
