"""All images and masks of a data set in their own sizes: decoded once, kept on disk, read by slices."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from convolve.data import decoding, rasters
from convolve.data.cache import discard, store
from convolve.data.class_places import Places
from convolve.data.content import mask_hashes
from convolve.data.dataset import Dataset
from convolve.data.masks.coding import Value
from convolve.data.native_pack_writing import write_native
from convolve.data.rasters import Pixels, Valid
from convolve.progress import Progress, silent

_KIND = "native-packs"
_LAYOUT = 1


@dataclass(frozen=True, slots=True)
class NativePack:
    """The images and masks of a data set, row by row as its samples; all arrays are read-only and mapped from disk.

    Attributes:
        hw: (N, 2) int64, height and width of each upright image, pixels; 0 where broken.
        channels: C of all images: 1 if every ordinary image is grey, else 3; of rasters the bands used.
        dtype: of all images.
        class_pixels: (N, K) int64, pixels of each class.
        ignored: (N,) int64, pixels that count nowhere.
        undeclared: values that the masks' coding does not know: how many pixels have it, and in how many masks.
        broken: why an image or its mask cannot be used, by row.
        key: the same for the same pixels and classes.
    """

    hw: NDArray[np.int64]
    channels: int
    dtype: np.dtype[Any]
    class_pixels: NDArray[np.int64]
    ignored: NDArray[np.int64]
    undeclared: dict[Value, tuple[int, int]]
    broken: dict[int, str]
    key: str
    _pixels: NDArray[Any]
    _classes: NDArray[np.uint8]
    _valid: Valid
    _places: Places
    _pixel_starts: NDArray[np.int64]
    _hole_starts: NDArray[np.int64]
    _place_starts: NDArray[np.int64]

    @property
    def usable(self) -> NDArray[np.int64]:
        """The rows that are not broken, ascending."""
        return np.array([row for row in range(len(self.hw)) if row not in self.broken], np.int64)

    def image(self, row: int) -> Pixels:
        """(H, W, C) of `dtype`; 0 where there is no data."""
        start, end = self._pixel_starts[row : row + 2] * self.channels
        return self._pixels[start:end].reshape(*self.hw[row], self.channels)

    def valid(self, row: int) -> Valid | None:
        """(H, W) False where the image has no data, or None where it has everywhere."""
        start, end = self._hole_starts[row : row + 2]
        return self._valid[start:end].reshape(*self.hw[row]) if end > start else None

    def mask(self, row: int) -> NDArray[np.uint8]:
        """(H, W) class indices, or `IGNORE`; that is also where the image has no data."""
        start, end = self._pixel_starts[row : row + 2]
        return self._classes[start:end].reshape(*self.hw[row])

    def places(self, row: int, index: int) -> Places:
        """Pixels of one class in one mask, drawn once for all: positions in the mask laid out row after row.

        There are some wherever the class has a pixel, and all if they are few.
        """
        start, end = self._place_starts[row * self.class_pixels.shape[1] + index :][:2]
        return self._places[start:end]


def pack_native(
    dataset: Dataset, *, hashes: Sequence[str], bands: Sequence[int] | None = None, progress: Progress = silent
) -> NativePack:
    """Decode every image and mask, or find them in the cache.

    An image cannot be used, and is noted as broken, if it or its mask cannot be read, if their sizes differ, or if not
    one of its pixels counts.

    Args:
        dataset: N samples with masks; its coding says what they mean.
        hashes: the samples' `content_hashes`, by which the cache knows the images.
        bands: those of rasters that are used, counted from 1, in this order; None = all.
        progress: told how many images are decoded.

    Raises:
        UserError: images differ in their bands or type, a band that is asked for is not there, or the cache folder has
            no room.
        ValueError: the data set's masks were not looked at yet.
    """
    if dataset.coding is None:
        raise ValueError("the masks' coding is not settled")
    coding = dataset.coding
    key = _key(dataset, hashes, bands)

    def write(folder: Path) -> None:
        write_native(folder, dataset, coding, bands, progress)

    shape = len(dataset.samples), len(dataset.classes)
    folder = store(_KIND, key, write)
    try:
        return _load(folder, shape, key)
    except (OSError, EOFError, ValueError, LookupError, TypeError):  # damaged on disk
        discard(_KIND, key)
        return _load(store(_KIND, key, write), shape, key)


def _key(dataset: Dataset, hashes: Sequence[str], bands: Sequence[int] | None) -> str:
    versions = [_LAYOUT, decoding.POLICY, rasters.POLICY, PIL.__version__]
    facts = [versions, repr(dataset.coding), len(dataset.classes), bands, hashes, mask_hashes(dataset)]
    return blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


def _load(folder: Path, shape: tuple[int, int], key: str) -> NativePack:
    """The pack in a folder.

    Raises:
        ValueError, and others: it is not what `write_native` leaves for so many samples and classes.
    """
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    tables = {
        name: np.load(folder / f"{name}.npy") for name in ("hw", "ignored", "class_pixels", "place_counts", "holes")
    }
    rows, classes = shape
    shapes = [table.shape for table in tables.values()]
    if shapes != [(rows, 2), (rows,), (rows, classes), (rows, classes), (rows,)]:
        raise ValueError(f"cache entry {folder} does not hold what its key says")
    areas = tables["hw"].prod(axis=1)
    pixel_starts, hole_starts, place_starts = (
        _starts(areas),
        _starts(areas * tables["holes"]),
        _starts(tables["place_counts"].ravel()),
    )
    channels, dtype = int(facts["channels"]), np.dtype(facts["dtype"])
    return NativePack(
        hw=tables["hw"],
        channels=channels,
        dtype=dtype,
        class_pixels=tables["class_pixels"],
        ignored=tables["ignored"],
        undeclared={_value(value): (pixels, masks) for value, pixels, masks in facts["undeclared"]},
        broken={int(row): str(reason) for row, reason in facts["broken"].items()},
        key=key,
        _pixels=_mapped(folder / "pixels.bin", dtype, pixel_starts[-1] * channels),
        _classes=_mapped(folder / "classes.bin", np.dtype(np.uint8), pixel_starts[-1]),
        _valid=_mapped(folder / "valid.bin", np.dtype(np.bool_), hole_starts[-1]),
        _places=_mapped(folder / "places.bin", np.dtype(np.uint32), place_starts[-1]),
        _pixel_starts=pixel_starts,
        _hole_starts=hole_starts,
        _place_starts=place_starts,
    )


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(M + 1,) where each of M pieces begins, and the end of all."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _value(stored: int | list[int]) -> Value:
    if isinstance(stored, int):
        return stored
    red, green, blue = stored
    return red, green, blue


def _mapped(path: Path, dtype: np.dtype[Any], size: int) -> NDArray[Any]:
    if path.stat().st_size != size * dtype.itemsize:
        raise ValueError(f"{path} is not of the size that its table says")
    # An empty file cannot be mapped.
    return np.memmap(path, dtype, mode="r", shape=(int(size),)) if size else np.empty(0, dtype)
