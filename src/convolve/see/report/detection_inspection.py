"""The page of what was found in a data set with boxes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from convolve.data.boxes.inspection import BoxFindings
from convolve.data.boxes.statistics import boxes_per_image, object_sides
from convolve.data.dataset import Boxes, Dataset, Sample
from convolve.data.decoding import BrokenImage, decode_with_facts
from convolve.data.findings import NO_SPLIT
from convolve.data.masks.palette import class_colours
from convolve.see.box_drawing import BoxMark, BoxPicture, drawn
from convolve.see.report.detection_box_charts import counts_histogram, places_map, shapes_histogram, sizes_histogram
from convolve.see.report.page import inspection_content
from convolve.see.report.svg import BLUE
from convolve.see.report.template import write_page

_SAMPLES, _OF_A_CLASS = 12, 4
_LARGEST_HW = (480, 480)
# More colours than these are not told apart.
_COLOURED = 7
_PARTS = 24
_NAMED = 20


@dataclass(frozen=True, slots=True)
class _Shown:
    """An image with its boxes.

    Attributes:
        picture: to draw.
        split: where it is.
        boxes: how many, in words.
    """

    picture: BoxPicture
    split: str
    boxes: str


def write_detection_inspection(path: Path, found: BoxFindings, dataset: Dataset) -> None:
    """Write what was found in boxes, whole or not at all: one file that asks for no other, without scripts.

    Args:
        path: of the HTML file.
        found: in the data set.
        dataset: for charts of its boxes, and for pictures of some images with their boxes and of copies; what cannot be
            decoded is left out.

    Raises:
        UserError: no space is left.
    """
    totals = {name: sum(by_split.values()) for name, by_split in found.counts.items()}
    colours = class_colours(min(len(dataset.classes), _COLOURED))
    write_page(
        path,
        "detection_inspection.html.jinja",
        labelled=False,
        found=found,
        totals=totals,
        largest=max(totals.values(), default=0),
        colours=[colours[index % _COLOURED] for index in range(len(dataset.classes))],
        coloured=len(dataset.classes) <= _COLOURED,
        sheets=list(_samples(dataset)),
        drawn=drawn,
        named=_NAMED,
        **_charts(found, dataset),
        **inspection_content(replace(found.files, advice=found.advice), dataset),
    )


def places_of(samples: Sequence[Sample], *, parts: int = _PARTS) -> NDArray[np.float64]:
    """(parts, parts) of images cut into so many rows and columns: the share of all boxes that cover each part.

    A box covers a part whose centre is inside it; a box with no such part covers the one that holds its own centre.

    Args:
        samples: with boxes; crowds are left out.
        parts: rows and columns.
    """
    covered = np.zeros((parts, parts))
    boxes = 0
    for sample in samples:
        if not isinstance(sample.target, Boxes):
            continue
        height, width = sample.target.hw
        for one in sample.target.objects:
            if one.kind == "crowd":
                continue
            left, top, right, bottom = np.array(one.corners) / (width, height, width, height) * parts
            columns, rows = _between(left, right, parts), _between(top, bottom, parts)
            covered[rows, columns] += 1
            boxes += 1
    return covered / max(1, boxes)


def _between(low: float, high: float, parts: int) -> slice:
    """The parts whose centres lie between two places, or the one in the middle of them."""
    first, last = int(np.ceil(low - 0.5)), int(np.floor(high - 0.5))
    if last < first:
        first = last = min(parts - 1, int((low + high) / 2))
    return slice(max(0, first), last + 1)


def _charts(found: BoxFindings, dataset: Dataset) -> dict[str, Markup | str]:
    charts: dict[str, Markup | str] = {
        "per_image_chart": counts_histogram(boxes_per_image(dataset.samples)),
        "places_chart": places_map(places_of(dataset.samples)) if found.total else "",
        "sizes_chart": "",
        "shapes_chart": "",
    }
    sides = dict(_sides_by_class(dataset, found.side))
    if sides:
        colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in class_colours(len(sides))]
        if len(dataset.classes) > _COLOURED:
            colours = [BLUE]
        sizes = {name: np.sqrt(some.prod(axis=1)) for name, some in sides.items()}
        charts["sizes_chart"] = sizes_histogram(sizes, found.anchor_sizes, colours)
        ratios = {name: some[:, 1] / some[:, 0] for name, some in sides.items()}
        charts["shapes_chart"] = shapes_histogram(ratios, found.anchor_ratios, colours)
    return charts


def _sides_by_class(dataset: Dataset, side: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Widths and heights of the objects of each class, or of all together where there are many or none."""
    everything = object_sides(dataset.samples, side)
    if not len(everything):
        return
    if len(dataset.classes) > _COLOURED:
        yield "boxes", everything
        return
    for index, name in enumerate(dataset.classes):
        yield name, object_sides([_only(sample, index) for sample in dataset.samples], side)


def _only(sample: Sample, index: int) -> Sample:
    """The sample with the boxes of one class."""
    if not isinstance(sample.target, Boxes):
        return sample
    objects = tuple(one for one in sample.target.objects if one.index == index)
    return replace(sample, target=replace(sample.target, objects=objects))


def _samples(dataset: Dataset) -> Iterator[_Shown]:
    """Some images of each class in turn, and of those without boxes, each once."""
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in dataset.samples:
        if isinstance(sample.target, Boxes):
            for index in {one.index for one in sample.target.objects} or {len(dataset.classes)}:
                by_class[index].append(sample)
    turns = zip_longest(*(_evenly(by_class[index]) for index in sorted(by_class)))
    shown: set[str] = set()
    count = 0
    for sample in filter(None, chain.from_iterable(turns)):
        if sample.name in shown:
            continue
        shown.add(sample.name)
        try:
            yield _shown(sample, dataset)
        except BrokenImage:
            # The inspection lists it among the problems.
            continue
        count += 1
        if count == _SAMPLES:
            return


def _shown(sample: Sample, dataset: Dataset) -> _Shown:
    assert isinstance(sample.target, Boxes)  # noqa: S101 only such samples are chosen
    decoded = decode_with_facts(sample.image, channels=3, at_least_hw=_LARGEST_HW)
    # The file may have been decoded to a part of its size.
    height, width = decoded.pixels.shape[:2]
    original_height, original_width = sample.target.hw
    scales = np.array([width / original_width, height / original_height] * 2)
    colours = class_colours(len(dataset.classes)) if len(dataset.classes) <= _COLOURED else ()
    marks = []
    for one in sample.target.objects:
        left, top, right, bottom = (np.array(one.corners) * scales).tolist()
        marks.append(
            BoxMark(
                (left, top, right, bottom),
                "annotated" if one.kind == "object" else "ignored",
                dataset.classes[one.index],
                colour=colours[one.index] if colours else None,
                note="" if one.kind == "object" else one.kind,
            )
        )
    counts = np.bincount([one.index for one in sample.target.objects], minlength=len(dataset.classes))
    words = ", ".join(f"{count} {name}" for name, count in zip(dataset.classes, counts, strict=True) if count)
    return _Shown(
        BoxPicture(sample.name, decoded.pixels, tuple(marks)), sample.split or NO_SPLIT, words or "without boxes"
    )


def _evenly(samples: list[Sample]) -> list[Sample]:
    places = np.linspace(0, len(samples) - 1, min(len(samples), _OF_A_CLASS)).astype(int)
    return [samples[place] for place in places]
