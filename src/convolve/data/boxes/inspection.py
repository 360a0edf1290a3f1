"""Looking through boxes for what spoils a training: classes rare, objects small, boxes double, images copied."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.data.advice import advice_on
from convolve.data.boxes.anchor_fit import AnchorFit, anchor_fit, propose_anchors
from convolve.data.boxes.statistics import (
    QUANTILES,
    BoxStatistics,
    box_counts,
    box_statistics,
    boxes_per_image,
    choose_side,
    object_sides,
)
from convolve.data.dataset import SPLITS, Boxes, Dataset, Sample
from convolve.data.findings import NO_SPLIT, Inspection, Spread
from convolve.data.inspection import inspect_dataset
from convolve.data.near_duplicates import exact_duplicates
from convolve.errors import shown
from convolve.progress import Progress, silent

_FEW_BOXES = 50
_MUCH_OVERLAP, _OFTEN = 0.5, 0.05
_NEARLY_ALL = 0.95


@dataclass(frozen=True, slots=True)
class BoxFindings:
    """All that was found.

    Attributes:
        files: the images: sizes, copies, broken ones. Its `counts` are images that show each class.
        counts: boxes by class and split, {class: {split: count}}, whatever their kind.
        difficult, crowds: boxes that are no ordinary objects.
        empty: images without boxes.
        per_image: boxes of an image; None where there are no images.
        overlapping: share of the objects with an IoU over 0.5 with another of their class: non-maximum suppression may
            take one for the other.
        double: names of images in which a box stands twice: the same corners and the same class.
        differing: names of equal images whose boxes differ.
        side: the longest side proposed for the network's input, pixels, and `side_reason` why. The next three are at
            this input.
        boxes: sizes and ratios.
        anchor_sizes, anchor_ratios, anchor_reason: the anchors proposed; empty where there are no objects.
        fit: how well they do; None where there are no objects.
        advice: short sentences, what matters most first.
    """

    files: Inspection
    counts: dict[str, dict[str, int]]
    difficult: int
    crowds: int
    empty: int
    per_image: Spread | None
    overlapping: float
    double: tuple[str, ...]
    differing: tuple[tuple[str, ...], ...]
    side: int
    side_reason: str
    boxes: BoxStatistics
    anchor_sizes: tuple[float, ...]
    anchor_ratios: tuple[float, ...]
    anchor_reason: str
    fit: AnchorFit | None
    advice: tuple[str, ...]

    @property
    def total(self) -> int:
        """Boxes of all kinds."""
        return sum(sum(by_split.values()) for by_split in self.counts.values())

    def as_json(self) -> dict[str, Any]:
        """Everything as plain dicts, lists, strings and finite numbers, as `json.loads` gives it back."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self) | {"total": self.total}, allow_nan=False))
        return plain


def inspect_boxes(dataset: Dataset, hashes: Sequence[str], progress: Progress = silent) -> BoxFindings:
    """Read every image once (the cache remembers them) and look for what spoils a training.

    Sizes, input and anchors are those of the train split where there is one.

    Args:
        dataset: at least one sample; all have boxes, or none.
        hashes: the samples' `content_hashes`.
        progress: told how far reading is.

    Raises:
        UserError: the cache folder has no room.
    """
    samples = dataset.samples
    training = [sample for sample in samples if sample.split == "train"] or samples
    side, side_reason = choose_side(training)
    sizes: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()
    anchor_reason = "there are no objects"
    if len(object_sides(training)):
        sizes, ratios, anchor_reason = propose_anchors(training, side)
    per_image = boxes_per_image(samples)
    kinds = Counter(one.kind for sample in samples for one in _boxes(sample).objects)
    files = inspect_dataset(dataset, progress=progress)
    found = BoxFindings(
        files=_without_labels(files),
        counts=_counts_by_split(dataset),
        difficult=kinds["difficult"],
        crowds=kinds["crowd"],
        empty=int((per_image == 0).sum()),
        per_image=Spread(float(per_image.min()), float(np.median(per_image)), float(per_image.max())),
        overlapping=_overlapping(samples),
        double=tuple(sample.name for sample in samples if _stands_twice(_boxes(sample))),
        differing=tuple(_differing(samples, hashes)),
        side=side,
        side_reason=side_reason,
        boxes=box_statistics(training, side),
        anchor_sizes=sizes,
        anchor_ratios=ratios,
        anchor_reason=anchor_reason,
        fit=anchor_fit(training, side, sizes, ratios) if sizes else None,
        advice=(),
    )
    return replace(found, advice=(*_advice(found), *found.files.advice))


def count_table(found: BoxFindings) -> tuple[list[str], list[list[object]]]:
    """Boxes by class and split, for a terminal: the heads of the columns, and the rows."""
    splits = list(found.files.split_counts)
    rows: list[list[object]] = [
        [name, *(by_split.get(split, 0) for split in splits), sum(by_split.values())]
        for name, by_split in found.counts.items()
    ]
    in_split = [sum(by_split.get(split, 0) for by_split in found.counts.values()) for split in splits]
    rows.append(["boxes", *in_split, found.total])
    rows.append(["images", *found.files.split_counts.values(), found.files.images])
    return ["class", *splits, "all"], rows


def words(found: BoxFindings) -> list[str]:
    """What was found in the boxes, line by line for a terminal; `count_table` and the advice stand by themselves."""
    return list(_lines(found))


def _lines(found: BoxFindings) -> Iterator[str]:
    if found.per_image:
        spread = found.per_image
        yield (
            f"boxes an image {spread.least:.0f} / {spread.median:g} / {spread.greatest:.0f} "
            f"(least / median / greatest); {found.empty} images without boxes"
        )
    if found.difficult or found.crowds:
        yield f"not ordinary objects: {found.difficult} difficult, {found.crowds} crowds"
    yield f"input: detect.side={found.side}: {found.side_reason}"
    if found.fit is None:
        return
    boxes = found.boxes
    yield f"small / medium / large at this input (under 32 x 32, 96 x 96, above): {boxes.small} / {boxes.medium} / " + (
        f"{boxes.large}"
    )
    yield f"quantiles {' '.join(f'{share:.0%}' for share in QUANTILES)}"
    for name, values in (("size", boxes.size), ("width", boxes.width), ("height", boxes.height)):
        yield f"  {name} {' '.join(f'{value:.0f}' for value in values)} pixels"
    yield f"  height / width {' '.join(f'{value:.2f}' for value in boxes.ratio)}"
    sizes, ratios = _listed(found.anchor_sizes), _listed(found.anchor_ratios)
    yield f"anchors: detect.anchor_sizes={sizes} detect.anchor_ratios={ratios}"
    yield f"  {found.anchor_reason}; the mean IoU is {found.fit.mean:.2f}"
    yield f"objects that overlap another of their class by more than half: {found.overlapping:.1%}"


def _advice(found: BoxFindings) -> Iterator[str]:
    if not found.total:
        yield "There is not one box: nothing can be learnt."
        return
    none = [name for name, by_split in found.counts.items() if not by_split]
    if none:
        yield f"Without a box: {shown(none)}. Annotate some, or leave the class out."
    training = "train" if "train" in found.files.split_counts else None
    totals = {
        name: by_split.get(training, 0) if training else sum(by_split.values())
        for name, by_split in found.counts.items()
    }
    few = [f"{name} ({count})" for name, count in totals.items() if 0 < count < _FEW_BOXES]
    if few:
        yield f"Fewer than {_FEW_BOXES} boxes to train on: {shown(few)}. Expect them to be found badly."
    if found.differing:
        groups = [" = ".join(group) for group in found.differing]
        yield f"Equal images with different boxes: {shown(groups)}. One of them is wrong."
    if found.double:
        images = f"{len(found.double)} image{'s' * (len(found.double) != 1)}"
        yield f"The same box twice in {images}: {shown(found.double)}. The second one is never found."
    if found.overlapping > _OFTEN:
        yield (
            f"{found.overlapping:.0%} of the objects overlap another of their class by more than half: non-maximum "
            "suppression drops one of two such. Raise detect.nms_iou, or use detect.soft_nms."
        )
    if found.fit and found.fit.half < _NEARLY_ALL:
        yield f"No anchor proposed fits {1 - found.fit.half:.0%} of the objects: their shapes differ much."


def _listed(values: Iterable[float]) -> str:
    return "[" + ",".join(f"{value:g}" for value in values) + "]"


def _boxes(sample: Sample) -> Boxes:
    assert isinstance(sample.target, Boxes)  # noqa: S101 readers give all samples targets of one kind
    return sample.target


def _without_labels(files: Inspection) -> Inspection:
    """What was found in the files, without what would be amiss only if an image had one class."""
    # Of two frames of a film one may show what the other does not, without either being wrong.
    copies = tuple(replace(group, labels_differ=False) for group in files.copies)
    files = replace(files, unlabelled=0, small_classes={}, imbalance=None, fit="stretch", copies=copies)
    return replace(files, advice=tuple(advice_on(files)))


def _counts_by_split(dataset: Dataset) -> dict[str, dict[str, int]]:
    by_split: dict[str, list[Sample]] = defaultdict(list)
    for sample in dataset.samples:
        by_split[sample.split or NO_SPLIT].append(sample)
    counts = {
        split: box_counts(by_split[split], len(dataset.classes)) for split in (*SPLITS, NO_SPLIT) if split in by_split
    }
    return {
        name: {split: int(count[index]) for split, count in counts.items() if count[index]}
        for index, name in enumerate(dataset.classes)
    }


def _overlapping(samples: Sequence[Sample]) -> float:
    """The share of ordinary objects that have an IoU over 0.5 with another of their class."""
    overlapping = total = 0
    for sample in samples:
        by_class = defaultdict(list)
        for one in _boxes(sample).objects:
            if one.kind == "object":
                by_class[one.index].append(one.corners)
        for corners in by_class.values():
            iou = _iou(np.array(corners, np.float64))
            np.fill_diagonal(iou, 0)
            overlapping += int((iou.max(axis=1) > _MUCH_OVERLAP).sum())
            total += len(corners)
    return overlapping / total if total else 0.0


def _iou(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, M) of each box with each."""
    least, greatest = corners[:, :2], corners[:, 2:]
    sides = np.minimum(greatest[:, None], greatest) - np.maximum(least[:, None], least)
    shared: NDArray[np.float64] = sides.clip(min=0).prod(axis=2)
    areas = (greatest - least).prod(axis=1)
    union: NDArray[np.float64] = areas[:, None] + areas - shared
    return shared / union


def _stands_twice(boxes: Boxes) -> bool:
    return len({(one.index, one.corners) for one in boxes.objects}) < len(boxes.objects)


def _differing(samples: Sequence[Sample], hashes: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for group in exact_duplicates(hashes):
        if len({frozenset(_boxes(samples[row]).objects) for row in group}) > 1:
            yield tuple(samples[row].name for row in group)
