"""Looking through masks for what spoils a training: classes rare, small or missing, and values that nobody knows."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from convolve.data.advice import advice_on
from convolve.data.dataset import IGNORE, SPLITS, Dataset, Mask, MaskCoding, Outlines, Problem, Sample
from convolve.data.decoding import BrokenImage
from convolve.data.findings import NO_SPLIT, Inspection
from convolve.data.inspection import inspect_dataset
from convolve.data.masks.advice import advice_on_masks
from convolve.data.masks.coding import Value, decode_mask
from convolve.data.masks.findings import (
    NARROW,
    ClassPixels,
    MaskInspection,
    recipe_lines,
    value_word,
    values_in_words,
)
from convolve.data.rasters import describe_raster
from convolve.progress import Progress, silent

__all__ = ["ClassPixels", "MaskInspection", "inspect_masks"]

# Labelling regions takes far longer than counting pixels, and a few dozen masks tell how large objects are.
_MASKS_SAMPLED, _SIDE_SAMPLED = 32, 1024
_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


@dataclass(frozen=True, slots=True)
class _Regions:
    """The connected regions of one class in one mask.

    Attributes:
        areas: pixels of each.
        narrow: pixels of all their parts that are narrower than `NARROW`.
    """

    areas: NDArray[np.int64]
    narrow: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """One mask.

    Attributes:
        pixels: (256,) how many have each class, and `IGNORE`.
        undeclared: pixels of each unknown value.
        regions: of each class; empty unless the mask was sampled.
        image_broken: its image cannot be read, so that it counts nowhere.
        broken: why the mask cannot be used.
    """

    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    undeclared: dict[Value, int] = field(default_factory=dict)
    regions: dict[int, _Regions] = field(default_factory=dict)
    image_broken: bool = False
    broken: str = ""


def inspect_masks(dataset: Dataset, *, progress: Progress = silent) -> MaskInspection:
    """Read every image and mask once and look for what spoils a training.

    Objects are counted on 32 masks spread over the data set, of large ones in the middle 1024 x 1024 pixels.

    Args:
        dataset: with masks whose coding is settled.
        progress: told how far reading is.

    Raises:
        UserError: the cache folder has no room.
        ValueError: the masks' coding is not settled.
    """
    if dataset.coding is None:
        raise ValueError("the masks' coding is not settled")
    seen = _look(dataset, dataset.coding, progress)
    usable = [row for row, one in enumerate(seen) if not one.broken and not one.image_broken]
    counts = _counts_by_split(dataset, seen, usable)
    files = _with_mask_counts(inspect_dataset(dataset, progress=progress), dataset, seen, usable)
    total = sum(int(one.pixels.sum()) for one in seen)
    ignored = sum(int(one.pixels[IGNORE]) for one in seen)
    undeclared: Counter[Value] = Counter()
    for one in seen:
        undeclared.update(one.undeclared)
    found = MaskInspection(
        files=files,
        kind=dataset.coding.kind,
        ignored_values=tuple(value_word(value) for value in dataset.coding.ignored),
        classes=tuple(_classes(dataset, dataset.coding, seen, counts, files, total - ignored)),
        pixels={split: int(pixels.sum()) for split, pixels in counts.items()},
        ignored_share=ignored / total if total else 0.0,
        undeclared={value_word(value): pixels / total for value, pixels in undeclared.most_common()},
        undeclared_images=sum(bool(one.undeclared) for one in seen),
        all_ignored=tuple(dataset.samples[row].name for row in usable if not seen[row].pixels[:IGNORE].any()),
        broken=tuple(
            Problem(f"mask of {dataset.samples[row].name}", one.broken) for row, one in enumerate(seen) if one.broken
        ),
        sampled=sum(bool(one.regions) for one in seen),
        recipe=() if _as_shapes(dataset) else recipe_lines(dataset.coding, dataset.classes),
        advice=(),
    )
    return replace(found, advice=(*advice_on_masks(found), *files.advice))


def _as_shapes(dataset: Dataset) -> bool:
    """Whether masks are shapes of named classes, whose numbers are the format's own affair."""
    return any(isinstance(one.target, Mask) and isinstance(one.target.source, Outlines) for one in dataset.samples)


def _look(dataset: Dataset, coding: MaskCoding, progress: Progress) -> list[_Seen]:
    samples = dataset.samples
    sampled = set(np.linspace(0, len(samples) - 1, min(len(samples), _MASKS_SAMPLED)).astype(int).tolist())
    seen = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        jobs = ((sample, row in sampled) for row, sample in enumerate(samples))
        for done, one in enumerate(threads.map(partial(_see, coding), jobs), start=1):
            seen.append(one)
            progress("reading masks", done, len(samples))
    return seen


def _see(coding: MaskCoding, job: tuple[Sample, bool]) -> _Seen:
    sample, sampled = job
    if not isinstance(sample.target, Mask):
        return _Seen(broken="there is no mask")
    try:
        hw = describe_raster(sample.image).hw
    except BrokenImage:
        return _Seen(image_broken=True)
    try:
        decoded = decode_mask(sample.target, coding, hw=hw)
    except BrokenImage as error:
        return _Seen(broken=str(error))
    # Pillow counts without a copy in a wider type, which NumPy makes.
    pixels = np.array(Image.fromarray(decoded.classes).histogram(), np.int64)
    return _Seen(pixels, decoded.undeclared, _regions(_middle(decoded.classes)) if sampled else {})


def _middle(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = (max(0, (length - _SIDE_SAMPLED) // 2) for length in mask.shape)
    return mask[top : top + _SIDE_SAMPLED, left : left + _SIDE_SAMPLED]


def _regions(mask: NDArray[np.uint8]) -> dict[int, _Regions]:
    found = {}
    for index in np.unique(mask).tolist():
        if index != IGNORE:
            there = (mask == index).astype(np.uint8)
            labelled, _ = ndimage.label(there, structure=_EIGHT_NEIGHBOURS)
            # What an opening takes away is where no square of this side fits (Serra, Image Analysis and Mathematical
            # Morphology, 1982).
            wide = ndimage.grey_opening(there, size=(NARROW, NARROW))
            areas = np.bincount(labelled.ravel())[1:]
            found[index] = _Regions(areas, int(areas.sum()) - int(np.count_nonzero(wide)))
    return found


def _counts_by_split(dataset: Dataset, seen: list[_Seen], usable: Iterable[int]) -> dict[str, NDArray[np.int64]]:
    """(256,) pixels of each class and of `IGNORE`, by split."""
    counts: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(256, np.int64))
    for row in usable:
        counts[dataset.samples[row].split or NO_SPLIT] += seen[row].pixels
    return {split: counts[split] for split in (*SPLITS, NO_SPLIT) if split in counts}


def _with_mask_counts(files: Inspection, dataset: Dataset, seen: list[_Seen], usable: list[int]) -> Inspection:
    """What was found in the files, with images that show a class for images that are labelled with it."""
    counts: dict[str, dict[str, int]] = {}
    for index, name in enumerate(dataset.classes):
        shown = Counter(dataset.samples[row].split or NO_SPLIT for row in usable if seen[row].pixels[index])
        counts[name] = {split: shown[split] for split in (*SPLITS, NO_SPLIT) if split in shown}
    files = replace(files, counts=counts, unlabelled=0, small_classes={}, imbalance=None)
    # Images with masks keep their shapes, so there is nothing to say about how they become square.
    return replace(files, advice=tuple(advice_on(replace(files, fit="stretch"))))


def _classes(
    dataset: Dataset,
    coding: MaskCoding,
    seen: list[_Seen],
    counts: dict[str, NDArray[np.int64]],
    files: Inspection,
    counted: int,
) -> Iterable[ClassPixels]:
    values: tuple[tuple[Value, ...], ...] = coding.values
    for index, (name, colour) in enumerate(zip(dataset.classes, coding.colours, strict=True)):
        regions = [one.regions[index] for one in seen if index in one.regions]
        areas = np.concatenate([np.zeros(0, np.int64), *(some.areas for some in regions)])
        pixels = {split: int(some[index]) for split, some in counts.items()}
        yield ClassPixels(
            name=name,
            colour=colour,
            values=values_in_words(values[index]),
            pixels=pixels,
            images=files.counts[name],
            share=sum(pixels.values()) / counted if counted else 0.0,
            objects=len(areas),
            median_area=float(np.median(areas)) if len(areas) else None,
            narrow_share=sum(some.narrow for some in regions) / int(areas.sum()) if len(areas) else None,
        )
