"""Any image file, or an array, as (H, W, C) pixels; what is not an image is said to be broken, and why.

One policy each, so that an image always gives the same pixels, whatever else is in the data set:

- Orientation: the camera's EXIF (or XMP) note is applied, so pixels stand as a viewer shows them. A note that cannot be
  read counts as none.
- Palettes are expanded; black and white (1 bit) becomes 0 and 255.
- Transparency is composited on white, as most viewers and every conversion to JPEG show it.
- CMYK and YCbCr are converted to RGB by Pillow's formulas; colour profiles (ICC) are not applied.
- 16 bits become 8 by dropping the lower byte (division by 256): never by an image's own range, or the same grey would
  become different greys in two images.
- Floating point, 32-bit and Lab pixels are refused: nothing in the file says which values are black and white.
- Grey from colour is ITU-R BT.601 luma, (299 R + 587 G + 114 B) / 1000; colour from grey repeats it three times.
- Of an animation, or of a file of several pages, the first.
- A truncated file is broken, though some of it might be shown. So is one of more than 200 megapixels, which is not
  even decoded.
"""

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from convolve.data.dataset import ImageArray

Channels: TypeAlias = Literal[1, 3]
_Value = TypeVar("_Value", bound=np.generic)

POLICY = 1
"""The number of the policy above, raised when it changes, so that pixels kept from before are decoded anew."""

MAX_PIXELS = 200_000_000

_ORIENTATION = 0x0112
_UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: partial(np.rot90, k=2),
    4: np.flipud,
    5: partial(np.swapaxes, axis1=0, axis2=1),
    6: partial(np.rot90, k=-1),
    7: lambda lying: np.rot90(lying, k=2).swapaxes(0, 1),
    8: np.rot90,
}
_LYING = {5, 6, 7, 8}
_WITHOUT_BLACK_AND_WHITE = {"F": "floating point", "I": "32-bit", "LAB": "Lab"}
_TEXT_BYTES = 1024
_NOTE_CHUNKS = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}
_MOST_CHUNKS = 1 << 17


class BrokenImage(ValueError):  # noqa: N818 a state of the file, and what reports call it
    """The image cannot be used; the message is the reason, in the user's words and without the file's name."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels, and what the file said of them.

    Attributes:
        pixels: (H, W, C) uint8.
        original_hw: height and width of the upright image in the file, pixels; `pixels` may be a reduction of it.
        colour: how the file stores pixels, in Pillow's words: "L", "RGB", "P", "RGBA", "CMYK", "I;16" and so on.
    """

    pixels: ImageArray
    original_hw: tuple[int, int]
    colour: str


def decode(image: Path | ImageArray, *, channels: Channels, max_pixels: int = MAX_PIXELS) -> ImageArray:
    """The pixels of an image, (H, W, C) uint8, by the policies above.

    Args:
        image: a file in any format that Pillow reads, or (H, W) or (H, W, C) uint8 with C of 1, 2 (grey and alpha), 3
            (RGB) or 4 (RGB and alpha).
        channels: C, 1 grey or 3 RGB.
        max_pixels: larger images are broken.

    Raises:
        BrokenImage: there are no such pixels; the message says why.
    """
    return decode_with_facts(image, channels=channels, max_pixels=max_pixels).pixels


def decode_with_facts(
    image: Path | ImageArray,
    *,
    channels: Channels,
    max_pixels: int = MAX_PIXELS,
    at_least_hw: tuple[int, int] | None = None,
) -> Decoded:
    """The pixels of an image, and what its file says of them.

    Args:
        image: as for `decode`.
        channels: as for `decode`.
        max_pixels: as for `decode`.
        at_least_hw: the caller will scale down to this height and width or less. A JPEG may then be decoded to a half,
            a quarter or an eighth of its size, several times faster, as long as neither side falls below the larger of
            the two. Its pixels are then means over the DCT's blocks: nearly, not exactly, those of a full decoding.

    Raises:
        BrokenImage: there are no such pixels; the message says why.
    """
    if isinstance(image, Path):
        return _decode_file(image, channels, max_pixels, at_least_hw)
    return _decode_array(image, channels, max_pixels)


def _decode_array(array: ImageArray, channels: Channels, max_pixels: int) -> Decoded:
    if array.dtype != np.uint8:
        raise BrokenImage(f"its values are {array.dtype}, not uint8")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)) or array.size == 0:
        raise BrokenImage(f"an array of shape {array.shape} is not an image: (H, W) or (H, W, C) is")
    check_pixels(array.shape[1], array.shape[0], max_pixels)
    depth = 1 if array.ndim == 2 else array.shape[2]
    if depth == channels:
        pixels = array.reshape(*array.shape[:2], channels)
    else:
        pixels = _as_array(Image.fromarray(array[..., 0] if array.ndim == 3 and depth == 1 else array), channels)
    return Decoded(pixels, (array.shape[0], array.shape[1]), {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[depth])


@contextmanager
def open_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """An image file of which only the header is read yet; whatever its bytes raise in the block becomes `BrokenImage`.

    Raises:
        BrokenImage: it is no image file, it is damaged, or it has more than `max_pixels`.
    """
    _check_file(path)
    with _pillow_alone():
        try:
            with Image.open(path) as image:
                check_pixels(*image.size, max_pixels)
                yield image
        except BrokenImage:
            raise
        except UnidentifiedImageError:
            raise BrokenImage(_what_else(path)) from None
        except MemoryError:
            raise BrokenImage("decoding it takes more memory than there is") from None
        except Exception as error:  # hostile bytes raise anything: struct.error, KeyError, SyntaxError, ...
            raise BrokenImage(f"damaged: {str(error) or type(error).__name__}") from error


def upright_hw(path: Path) -> tuple[int, int]:
    """Height and width of a file's upright image, from its header.

    Raises:
        BrokenImage: the header cannot be read.
    """
    with open_image(path) as image:
        width, height = image.size
        # Pillow has turned the size of a TIFF already.
        lying = image.format != "TIFF" and _orientation_by_header(image, path) in _LYING
        return (width, height) if lying else (height, width)


def _orientation_by_header(image: Image.Image, path: Path) -> int:
    """`orientation_of`, without the decoding of a PNG by which Pillow gets at notes behind the pixels."""
    if image.format != "PNG" or "exif" in image.info or _may_have_note_behind_pixels(path):
        return orientation_of(image)
    try:
        return int(Image.Image.getexif(image).get(_ORIENTATION, 1))
    except Exception:  # as for `orientation_of`
        return 1


def _may_have_note_behind_pixels(png: Path) -> bool:
    """Whether a chunk that can hold EXIF or XMP follows the pixels (PNG specification, third edition, section 5.6)."""
    pixels = False
    with png.open("rb") as file:
        file.seek(8)
        for _ in range(_MOST_CHUNKS):
            header = file.read(8)
            if len(header) < 8:
                return False
            pixels |= header[4:] == b"IDAT"
            if pixels and header[4:] in _NOTE_CHUNKS:
                return True
            file.seek(int.from_bytes(header[:4], "big") + 4, os.SEEK_CUR)
    return True


def stand_upright(pixels: NDArray[_Value], orientation: int) -> NDArray[_Value]:
    """(H, W) or (H, W, C) pixels turned and mirrored as EXIF's orientation 1..8 asks for."""
    return np.ascontiguousarray(_UPRIGHT[orientation](pixels)) if orientation in _UPRIGHT else pixels


def _decode_file(path: Path, channels: Channels, max_pixels: int, at_least_hw: tuple[int, int] | None) -> Decoded:
    with open_image(path, max_pixels=max_pixels) as image:
        return _decode_open(image, channels, max_pixels, at_least_hw)


def _decode_open(
    image: Image.Image, channels: Channels, max_pixels: int, at_least_hw: tuple[int, int] | None
) -> Decoded:
    width, height = image.size
    if at_least_hw is not None and image.format in ("JPEG", "MPO"):
        # Before the orientation is known either side may become the height.
        image.draft(image.mode, (max(at_least_hw), max(at_least_hw)))
    colour = image.mode
    image.load()
    check_pixels(*image.size, max_pixels)
    orientation = orientation_of(image)  # after loading, which turns TIFF and forgets its note
    pixels = _as_array(_without_depth(image), channels)
    pixels = stand_upright(pixels, orientation)
    original_hw = (width, height) if orientation in _LYING else (height, width)
    return Decoded(pixels, original_hw, colour)


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise BrokenImage("it is a folder")
        if not path.is_file():
            raise BrokenImage("there is no such file")
        with path.open("rb") as file:
            if not file.read(1):
                raise BrokenImage("the file is empty")
    except OSError as error:
        raise BrokenImage(f"it cannot be read: {error.strerror}") from error


def check_pixels(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """See that an image is not too large.

    Raises:
        BrokenImage: it has more than `max_pixels`.
    """
    if width * height > max_pixels:
        raise BrokenImage(f"{width} x {height} pixels are more than {max_pixels / 1e6:g} megapixels")


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation, 1..8; 1 (upright) where there is no note or an unreadable one."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged note raises anything, and its pixels are well all the same
        return 1


def _without_depth(image: Image.Image) -> Image.Image:
    """Bring 16 bits to 8, and refuse what has no black and white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    if image.mode == "I" and image.format == "PPM":  # 16-bit PGM, which Pillow scales to 0..65535
        return Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    if image.mode in _WITHOUT_BLACK_AND_WHITE:
        raise BrokenImage(f"{_WITHOUT_BLACK_AND_WHITE[image.mode]} pixels: save it with 8 or 16 bits a channel")
    return image


def _as_array(image: Image.Image, channels: Channels) -> ImageArray:
    """(H, W, C) uint8."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    if image.mode not in ("1", "L"):
        image = image.convert("RGB")  # grey too goes by way of RGB: palettes and CMYK have no way of their own
    image = image.convert("L" if channels == 1 else "RGB")
    return np.asarray(image).reshape(image.height, image.width, channels)


def _what_else(path: Path) -> str:
    """What a file that is no image holds instead."""
    with path.open("rb") as file:
        start = file.read(_TEXT_BYTES)
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the image: run git lfs pull"
    if b"\0" not in start and not any(byte < 9 for byte in start) and _is_text(start):
        return "it holds text, not an image"
    return "not an image, or damaged at its start"


def _is_text(start: bytes) -> bool:
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4  # the cut may fall inside one character
    return True


_lock = threading.Lock()
_readers = 0
_before: "tuple[warnings.catch_warnings[None], int | None]"


@contextmanager
def _pillow_alone() -> Iterator[None]:
    """Keep Pillow's warnings to itself and its limit of pixels off (ours is checked), in any number of threads.

    Both are the whole process's, so the first thread to come in changes them and the last one out puts them back.
    """
    global _readers, _before
    with _lock:
        if _readers == 0:
            quiet = warnings.catch_warnings()
            quiet.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
            _before = quiet, Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = None
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                quiet, Image.MAX_IMAGE_PIXELS = _before
                quiet.__exit__(None, None, None)
