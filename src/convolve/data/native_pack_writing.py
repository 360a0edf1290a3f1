"""Writes what `convolve.data.native_pack` reads."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from convolve.data.class_places import draw_places, places_a_class
from convolve.data.dataset import IGNORE, Dataset, Mask, MaskCoding, Sample
from convolve.data.decoding import BrokenImage
from convolve.data.masks.coding import DecodedMask, Value, decode_mask
from convolve.data.rasters import Pixels, RasterFacts, RasterPixels, describe_raster, read_pixels, starts_as_tiff
from convolve.errors import UserError
from convolve.progress import Progress

_FILES = ("pixels", "classes", "valid", "places")


def write_native(
    folder: Path, dataset: Dataset, coding: MaskCoding, bands: Sequence[int] | None, progress: Progress
) -> None:
    """Fill a folder with all images and masks of a data set; memory holds one image a processor at a time.

    Raises:
        UserError: images differ in their bands or type, or a band that is asked for is not there.
    """
    common = _common_facts(dataset, bands)
    tables = _Tables(dataset, common)
    with ExitStack() as stack:
        # Written, not mapped: on a full disk a write raises an error, where a mapped page would kill the process.
        files = {name: stack.enter_context((folder / f"{name}.bin").open("wb")) for name in _FILES}
        for row, one in enumerate(_read_all(dataset.samples, coding, bands)):
            if isinstance(one, BrokenImage):
                tables.broken[row] = str(one)
            else:
                tables.add(row, one, files)
            progress("decoding images and masks", row + 1, len(dataset.samples))
    tables.save(folder)


@dataclass(frozen=True, slots=True)
class _Read:
    """An image with its mask."""

    image: RasterPixels
    mask: DecodedMask


class _Tables:
    """What is known of each row once it is written."""

    def __init__(self, dataset: Dataset, common: RasterFacts) -> None:
        rows, classes = len(dataset.samples), len(dataset.classes)
        self.broken: dict[int, str] = {}
        self._common = common
        self._at_most = places_a_class(rows, classes)
        self._hw = np.zeros((rows, 2), np.int64)
        self._ignored = np.zeros(rows, np.int64)
        self._holes = np.zeros(rows, np.bool_)
        self._class_pixels = np.zeros((rows, classes), np.int64)
        self._place_counts = np.zeros((rows, classes), np.int64)
        self._undeclared: Counter[Value] = Counter()
        self._masks_with: Counter[Value] = Counter()

    def add(self, row: int, read: _Read, files: Mapping[str, IO[bytes]]) -> None:
        pixels, valid, classes = read.image.pixels, read.image.valid, read.mask.classes
        if valid is not None:
            pixels = np.where(valid[..., None], pixels, pixels.dtype.type(0))
            classes = np.where(valid, classes, np.uint8(IGNORE))
        self._undeclared.update(read.mask.undeclared)
        self._masks_with.update(read.mask.undeclared.keys())
        counts = np.bincount(classes.ravel(), minlength=256)
        if counts[IGNORE] == classes.size:
            self.broken[row] = "not one pixel of its mask has a class that counts"
            return
        places = draw_places(classes, self._class_pixels.shape[1], self._at_most, row=row)
        self._hw[row] = classes.shape
        self._ignored[row] = counts[IGNORE]
        self._class_pixels[row] = counts[: self._class_pixels.shape[1]]
        self._place_counts[row] = [len(some) for some in places]
        _write(files["pixels"], np.broadcast_to(pixels, (*classes.shape, self._common.bands)))
        _write(files["classes"], classes)
        if valid is not None:
            self._holes[row] = True
            _write(files["valid"], valid)
        _write(files["places"], np.concatenate(places))

    def save(self, folder: Path) -> None:
        np.save(folder / "hw.npy", self._hw)
        np.save(folder / "ignored.npy", self._ignored)
        np.save(folder / "holes.npy", self._holes)
        np.save(folder / "class_pixels.npy", self._class_pixels)
        np.save(folder / "place_counts.npy", self._place_counts)
        facts = {
            "channels": self._common.bands,
            "dtype": self._common.dtype,
            "broken": self.broken,
            "undeclared": [[value, pixels, self._masks_with[value]] for value, pixels in self._undeclared.items()],
        }
        (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _write(file: IO[bytes], array: NDArray[Any]) -> None:
    file.write(np.ascontiguousarray(array).data.cast("B"))


def _common_facts(dataset: Dataset, bands: Sequence[int] | None) -> RasterFacts:
    """Channels and type of all images, from their headers.

    Raises:
        UserError: they differ in more than grey and colour; the first two images that do are named.
    """
    first: tuple[str, RasterFacts] | None = None
    for sample in dataset.samples:
        try:
            facts = describe_raster(sample.image)
        except BrokenImage:
            continue  # reading it will say why
        if first is None or _grey_becomes_colour(first[1], facts):
            first = sample.name, facts
        elif not _agree(first[1], facts, bands):
            raise UserError(
                f"{dataset.name}: images differ in their pixels: {first[0]} has {_words(first[1])}, "
                f"{sample.name} has {_words(facts)}",
                "Train on images of one kind; with data.bands, on the bands that all of them have.",
            )
    if first is None:
        return RasterFacts((0, 0), 1, "uint8")
    return first[1] if bands is None else RasterFacts(first[1].hw, len(bands), first[1].dtype)


def _grey_becomes_colour(one: RasterFacts, other: RasterFacts) -> bool:
    return one.dtype == other.dtype == "uint8" and (one.bands, other.bands) == (1, 3)


def _agree(one: RasterFacts, other: RasterFacts, bands: Sequence[int] | None) -> bool:
    if one.dtype != other.dtype:
        return False
    return one.bands == other.bands or bands is not None or _grey_becomes_colour(other, one)


def _words(facts: RasterFacts) -> str:
    return f"{facts.bands} band{'s' * (facts.bands != 1)} of {facts.dtype}"


def _read_all(
    samples: Sequence[Sample], coding: MaskCoding, bands: Sequence[int] | None
) -> Iterator[_Read | BrokenImage]:
    def read(sample: Sample) -> _Read | BrokenImage:
        if not isinstance(sample.target, Mask):
            return BrokenImage("it has no mask")
        try:
            image = read_pixels(sample.image, bands=bands)
            return _Read(image, decode_mask(sample.target, coding, hw=_hw(image.pixels)))
        except BrokenImage as reason:
            return reason

    at_once = os.cpu_count() or 1
    with ThreadPoolExecutor(at_once) as threads:
        for start in range(0, len(samples), at_once):
            some = samples[start : start + at_once]
            # Opening TIFFs changes the process's warning filters for a moment, and rasterio has threads of its own.
            alone = any(starts_as_tiff(path) for sample in some for path in _files_of(sample))
            yield from (map if alone else threads.map)(read, some)


def _hw(pixels: Pixels) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]


def _files_of(sample: Sample) -> list[Path]:
    parts = (sample.image, sample.target.source if isinstance(sample.target, Mask) else None)
    return [part for part in parts if isinstance(part, Path)]
