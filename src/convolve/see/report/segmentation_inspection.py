"""The page of what was found in a data set with masks."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import SPLITS, Dataset, Mask, Sample
from convolve.data.decoding import BrokenImage
from convolve.data.findings import NO_SPLIT
from convolve.data.masks.coding import decode_mask
from convolve.data.masks.findings import NARROW, MaskInspection
from convolve.data.rasters import open_source
from convolve.errors import UserError
from convolve.see.overlays import as_picture, fitted_hw, outlined_overlay, shrink_image, shrink_mask
from convolve.see.report.page import inspection_content
from convolve.see.report.template import write_page

_SAMPLES, _SIDE = 9, 300
# A picture needs no more, and a raster of any size can be shown.
_LARGEST_SIDE = 2048

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class _Shown:
    """An image, and with its mask over it."""

    name: str
    split: str
    image: NDArray[np.uint8]
    overlay: NDArray[np.uint8]


def write_mask_inspection(path: Path, inspection: MaskInspection, dataset: Dataset) -> None:
    """Write what was found in masks, whole or not at all: one file that asks for no other, without scripts.

    Args:
        path: of the HTML file.
        inspection: of the data set.
        dataset: for pictures of some images with their masks, and of copies; what cannot be decoded is left out.

    Raises:
        UserError: no space is left.
    """
    files = inspection.files
    everything = replace(files, broken=(*files.broken, *inspection.broken), advice=inspection.advice)
    write_page(
        path,
        "segmentation_inspection.html.jinja",
        labelled=False,
        found=inspection,
        narrow=NARROW,
        sheets=list(_samples(dataset)),
        **inspection_content(everything, dataset),
    )


def _samples(dataset: Dataset) -> Iterator[_Shown]:
    """Some images of each split and group in turn, with their masks."""
    by_place: dict[tuple[int, str], list[Sample]] = defaultdict(list)
    order = {split: place for place, split in enumerate(SPLITS)}
    for sample in dataset.samples:
        by_place[order.get(sample.split or "train", 0), sample.group or ""].append(sample)
    places = [by_place[key] for key in sorted(by_place)]
    turns = zip_longest(*(_evenly(some, _SAMPLES) for some in _evenly(places, _SAMPLES)))
    shown = 0
    for sample in filter(None, chain.from_iterable(turns)):
        try:
            yield _shown(sample, dataset)
        except (BrokenImage, UserError):
            # The inspection lists it among the problems.
            continue
        shown += 1
        if shown == _SAMPLES:
            return


def _shown(sample: Sample, dataset: Dataset) -> _Shown:
    if dataset.coding is None or not isinstance(sample.target, Mask):
        raise BrokenImage("there is no mask")
    with open_source(sample.image) as source:
        top, left = (max(0, (length - _LARGEST_SIDE) // 2) for length in source.hw)
        height, width = (min(length, _LARGEST_SIDE) for length in source.hw)
        mask = decode_mask(sample.target, dataset.coding, hw=source.hw).classes
        image = as_picture(source.read(top, left, height, width)[0])
    mask = mask[top : top + height, left : left + width]
    hw = fitted_hw((height, width), _SIDE)
    small = shrink_image(image, hw)
    overlay = outlined_overlay(small, shrink_mask(mask, hw), dataset.coding.colours)
    return _Shown(sample.name, sample.split or NO_SPLIT, small, overlay)


def _evenly(items: list[_Item], count: int) -> list[_Item]:
    places = np.linspace(0, len(items) - 1, min(len(items), count)).astype(int)
    return [items[place] for place in places]
