"""Pixels as they are stored: photos, TIFFs of any number of bands and any type of number, georeferenced or not.

Ordinary images (any format but TIFF, and TIFFs of 8 bits with grey or RGB and no georeference) are decoded by the
policies of `convolve.data.decoding`: 1 channel where the file is grey, else 3. Other TIFFs are read by rasterio (extra
`geo`), values untouched:

- Alpha bands are no channels; where alpha is 0 there is no data.
- A pixel has no data where the file says so (nodata value, mask band, alpha) of every band that is used, as GDAL's data
  set mask has it, or where any used band is not finite. A nodata value in one band alone is a value like others.
- A georeference without a coordinate system keeps its transform; without a transform (identity) there is none at all,
  and what is computed from the image is written without.
- Complex and 64-bit whole numbers are refused, and so are colour tables, whose numbers mean no brightness.
"""

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import ImageArray
from convolve.data.decoding import BrokenImage, decode_with_facts, open_image, upright_hw
from convolve.errors import UserError, shown

if TYPE_CHECKING:
    from affine import Affine

Pixels: TypeAlias = NDArray[Any]
"""(H, W, C), values in the type they are stored in."""

Valid: TypeAlias = NDArray[np.bool_]
"""(H, W), False where there is no data."""

POLICY = 1
"""The number of the policy above, raised when it changes, so that pixels kept from before are read anew."""

_TYPES = {"uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"}
_ORDINARY = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}
_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Pixel scale, tie points, transformation and keys of GeoTIFF; GDAL's metadata and nodata value.
_GEO_TAGS = {33550, 33922, 34264, 34735, 42112, 42113}
_BESIDE = (".aux.xml", ".msk")
_WORLD = (".tfw", ".tifw", ".tiffw", ".wld")
_BLOCK_CACHE_MIB = 128


@dataclass(frozen=True, slots=True)
class RasterPixels:
    """An image's values.

    Attributes:
        pixels: (H, W, C), in the type they are stored in.
        valid: (H, W) bool, False where there is no data; None where all are valid.
    """

    pixels: Pixels
    valid: Valid | None


@dataclass(frozen=True, slots=True)
class RasterFacts:
    """What an image's header says.

    Attributes:
        hw: height and width, upright, pixels.
        bands: how many there are, alpha not counted.
        dtype: NumPy's name of the values' type.
        crs: the coordinate system as WKT, or None.
        transform: from (column, row) of a pixel's corner to coordinates, or None where the file is not georeferenced.
        nodata: the value that stands for none, or None.
    """

    hw: tuple[int, int]
    bands: int
    dtype: str
    crs: str | None = None
    transform: "Affine | None" = None
    nodata: float | None = None


class RasterSource(Protocol):
    """An image read window by window."""

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width, pixels."""

    @property
    def bands(self) -> int:
        """C, the channels that `read` gives."""

    @property
    def dtype(self) -> str:
        """NumPy's name of the values' type."""

    def read(self, top: int, left: int, height: int, width: int) -> tuple[Pixels, Valid | None]:
        """The pixels (height, width, C) of a window that lies within the image, and which are valid, or None for all.

        Raises:
            BrokenImage: the file is damaged there.
        """


def read_pixels(image: Path | Pixels, *, bands: Sequence[int] | None = None) -> RasterPixels:
    """All pixels of an image.

    Args:
        image: a file, or (H, W) or (H, W, C) pixels. Arrays of uint8 with up to 4 channels are what
            `convolve.data.decoding.decode` says (4 are RGB and alpha) unless `bands` are named; others are bands.
        bands: those wanted, counted from 1, in this order; None = all.

    Raises:
        BrokenImage: there are no such pixels; the message says why.
        UserError: the image has no band of that number.
    """
    with open_source(image, bands=bands) as source:
        try:
            return RasterPixels(*source.read(0, 0, *source.hw))
        except MemoryError:
            raise BrokenImage("reading all of it takes more memory than there is") from None


def describe_raster(image: Path | Pixels) -> RasterFacts:
    """What is known of an image without its pixels; arguments and errors as for `read_pixels`."""
    if isinstance(image, Path):
        return _facts_of_raster(image) if is_raster(image) else _facts_of_photo(image)
    _check_array(image)
    depth = 1 if image.ndim == 2 else image.shape[2]
    if image.dtype == np.uint8 and depth <= 4:
        depth = 1 if depth <= 2 else 3
    return RasterFacts((image.shape[0], image.shape[1]), depth, str(image.dtype))


@contextmanager
def open_source(image: Path | Pixels, *, bands: Sequence[int] | None = None) -> Iterator[RasterSource]:
    """An image to be read by windows; a raster file is never loaded as a whole, whatever its size.

    Arguments and errors are those of `read_pixels`.
    """
    if isinstance(image, Path) and is_raster(image):
        with _opened(image) as file:
            yield _FileSource(file, image.name, bands)
    else:
        yield _ArraySource(_photo(image) if isinstance(image, Path) else _array(image, bands), _name(image), bands)


def starts_as_tiff(path: Path) -> bool:
    """Whether the file begins as TIFFs do; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4) in _TIFF
    except OSError:
        return False


def is_raster(path: Path) -> bool:
    """Whether the file is a TIFF that ordinary decoding would change or not understand."""
    if not starts_as_tiff(path):
        return False
    beside = [path.with_name(path.name + ending) for ending in _BESIDE] + [path.with_suffix(end) for end in _WORLD]
    return not _is_ordinary(path) or any(other.exists() for other in beside)


def _is_ordinary(path: Path) -> bool:
    try:
        with open_image(path) as image:
            return image.mode in _ORDINARY and not _GEO_TAGS & set(getattr(image, "tag_v2", ()))
    except BrokenImage:  # also where it is of a kind, or a size, that Pillow is not made for
        return False


def _name(image: Path | Pixels) -> str:
    return image.name if isinstance(image, Path) else "an array"


def _photo(path: Path) -> ImageArray:
    decoded = decode_with_facts(path, channels=3)
    return decoded.pixels[..., :1] if decoded.colour in _GREY else decoded.pixels


def _check_array(array: Pixels) -> None:
    if array.ndim not in (2, 3) or array.size == 0:
        raise BrokenImage(f"an array of shape {array.shape} is not an image: (H, W) or (H, W, C) is")
    _check_type(str(array.dtype))


def _check_type(dtype: str) -> None:
    if dtype not in _TYPES:
        raise BrokenImage(f"its values are {dtype}: save it with whole numbers of at most 32 bits, or as float32")


def _array(array: Pixels, bands: Sequence[int] | None) -> Pixels:
    _check_array(array)
    depth = 1 if array.ndim == 2 else array.shape[2]
    if bands is None and array.dtype == np.uint8 and depth in (2, 4):
        return decode_with_facts(array, channels=3 if depth == 4 else 1).pixels
    return array.reshape(*array.shape[:2], depth)


def _facts_of_photo(path: Path) -> RasterFacts:
    with open_image(path) as image:
        bands = 1 if image.mode in _GREY else 3
    return RasterFacts(upright_hw(path), bands, "uint8")


def _chosen(there: Sequence[int], bands: Sequence[int] | None, name: str) -> list[int]:
    """The numbers of the bands that are used, counted from 1."""
    if bands is None:
        return list(there)
    missing = [str(band) for band in bands if not 1 <= band <= len(there)]
    if missing or not bands:
        raise UserError(
            f"{name}: data.bands asks for {shown(missing) or 'none'}, and the bands are 1 to {len(there)}",
            "Name bands that every image has, or leave this image out.",
        )
    return [there[band - 1] for band in bands]


class _ArraySource:
    """Pixels in memory."""

    def __init__(self, pixels: Pixels, name: str, bands: Sequence[int] | None) -> None:
        chosen = _chosen(range(1, pixels.shape[2] + 1), bands, name)
        self._pixels = pixels if bands is None else pixels[..., [band - 1 for band in chosen]]
        self.hw = (pixels.shape[0], pixels.shape[1])
        self.bands = len(chosen)
        self.dtype = str(pixels.dtype)

    def read(self, top: int, left: int, height: int, width: int) -> tuple[Pixels, Valid | None]:
        pixels = self._pixels[top : top + height, left : left + width]
        return pixels, _finite(pixels)


class _FileSource:
    """A file that rasterio has open."""

    def __init__(self, file: Any, name: str, bands: Sequence[int] | None) -> None:
        self._file = file
        self._bands = _chosen(_bands_of(file), bands, name)
        self._masked = any(str(flag.name) != "all_valid" for flags in file.mask_flag_enums for flag in flags)
        self.hw = (int(file.height), int(file.width))
        self.bands = len(self._bands)
        self.dtype = str(file.dtypes[self._bands[0] - 1])

    def read(self, top: int, left: int, height: int, width: int) -> tuple[Pixels, Valid | None]:
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        window = Window(left, top, width, height)
        try:
            pixels = self._file.read(self._bands, window=window)
            masks = self._file.read_masks(self._bands, window=window) if self._masked else None
        except RasterioError as error:
            raise BrokenImage(f"damaged or cut off: {error.__cause__ or error}") from error
        pixels = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
        finite = _finite(pixels)
        if masks is None:
            return pixels, finite
        valid: Valid = np.any(masks > 0, axis=0)
        return pixels, valid if finite is None else valid & finite


def _finite(pixels: Pixels) -> Valid | None:
    """Where all bands are finite; None where that is everywhere."""
    if not np.issubdtype(pixels.dtype, np.floating):
        return None
    finite: Valid = np.all(np.isfinite(pixels), axis=2)
    return None if finite.all() else finite


def _facts_of_raster(path: Path) -> RasterFacts:
    with _opened(path) as file:
        there = _bands_of(file)
        placed = not file.transform.is_identity
        return RasterFacts(
            hw=(int(file.height), int(file.width)),
            bands=len(there),
            dtype=str(file.dtypes[there[0] - 1]),
            crs=str(file.crs.to_wkt()) if placed and file.crs else None,
            transform=file.transform if placed else None,
            nodata=file.nodata,
        )


def _bands_of(file: Any) -> list[int]:
    """The numbers of the bands that hold values."""
    from rasterio.enums import ColorInterp

    there = [number for number, kind in enumerate(file.colorinterp, start=1) if kind != ColorInterp.alpha]
    if not there:
        raise BrokenImage("it has an alpha band and no other")
    if any(file.colorinterp[number - 1] == ColorInterp.palette for number in there):
        raise BrokenImage("its values are numbers of a colour table: save it as RGB (gdal_translate -expand rgb)")
    for number in there:
        _check_type(str(file.dtypes[number - 1]))
    return there


_opening = Lock()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if importlib.util.find_spec("rasterio") is None:
        raise BrokenImage('TIFFs of this kind are read by rasterio: pip install "convolve[geo]"')
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    with rasterio.Env(GDAL_CACHEMAX=_BLOCK_CACHE_MIB):
        try:
            with _opening, warnings.catch_warnings():  # warning filters are the whole process's
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                file = rasterio.open(path)
        except RasterioError as error:
            raise BrokenImage("not an image, or damaged at its start") from error
        with file:
            yield file
