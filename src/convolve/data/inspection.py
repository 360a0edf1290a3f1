"""Looking through a data set for what spoils a training: broken files, small classes, copies and leaks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from convolve.data.advice import advice_on
from convolve.data.content import content_hashes, dataset_fingerprint
from convolve.data.dataset import SPLITS, Dataset, ImageArray, Problem, labels_of
from convolve.data.findings import NO_SPLIT, SMALL_CLASS, Copies, Inspection, Spread
from convolve.data.near_duplicates import SMALLEST_SIDE, exact_duplicates, near_duplicates
from convolve.data.pack import Pack, channel_statistics, pack
from convolve.data.preprocessing import Preprocessing
from convolve.data.resizing import choose_fit
from convolve.progress import Progress, silent

__all__ = ["Copies", "Inspection", "Spread", "inspect_dataset"]

_MAX_DISTANCE = 4
_GREY = {"1", "L", "LA", "I;16", "I;16B", "I"}
_SIDE = 64


def inspect_dataset(dataset: Dataset, *, progress: Progress = silent) -> Inspection:
    """Read and decode every image once (the cache remembers them) and look for what spoils a training.

    Args:
        dataset: as its reader found it, broken images and all.
        progress: told how far reading and decoding are.

    Raises:
        UserError: the cache folder has no room.
    """
    hashes = content_hashes(dataset, progress)
    look = pack(dataset, _look(dataset), hashes=hashes, progress=progress)
    counts = _counts(dataset, range(len(dataset.samples)))
    totals = [sum(by_split.values()) for by_split in counts.values() if by_split]
    missing = [row for row in look.broken if _is_missing(dataset.samples[row].image)]
    height, width = look.original_hw[look.usable].T
    mean, std = _statistics(dataset, look)
    fit, fit_reason = choose_fit(look.original_hw)
    near_skipped = _why_no_near_duplicates(look)
    copies = _copies("exact", exact_duplicates(hashes), dataset, look)
    if not near_skipped:
        near = near_duplicates(look.images, max_distance=_MAX_DISTANCE)
        copies += _copies("near", (group for group in near if len({hashes[row] for row in group}) > 1), dataset, look)
    inspection = Inspection(
        name=dataset.name,
        form=dataset.form,
        fingerprint=dataset_fingerprint(dataset, hashes),
        images=len(dataset.samples),
        classes=dataset.classes,
        counts=counts,
        split_counts=dict(_in_order(Counter(sample.split or NO_SPLIT for sample in dataset.samples))),
        unlabelled=sum(not labels_of(sample) for sample in dataset.samples),
        imbalance=max(totals) / min(totals) if len(totals) > 1 else None,
        small_classes=_small_classes(dataset, look),
        file_bytes=_spread(_file_sizes(dataset)),
        height=_spread(height),
        width=_spread(width),
        aspect=_spread(width / height),
        colours=dict(Counter(look.colours[row] for row in look.usable).most_common()),
        mean=mean,
        std=std,
        problems=dataset.problems,
        missing=tuple(dataset.samples[row].name for row in missing),
        broken=tuple(
            Problem(dataset.samples[row].name, reason)
            for row, reason in sorted(look.broken.items())
            if row not in missing
        ),
        copies=tuple(copies),
        near_skipped=near_skipped,
        fit=fit,
        fit_reason=fit_reason,
        advice=(),
    )
    return replace(inspection, advice=tuple(advice_on(inspection)))


def _look(dataset: Dataset) -> Preprocessing:
    """A small size for all images; smaller and grey where arrays of digits and the like need no more."""
    arrays = [sample.image for sample in dataset.samples if not isinstance(sample.image, Path)]
    only_arrays = len(arrays) == len(dataset.samples)
    tiny = only_arrays and all(max(array.shape[:2]) <= SMALLEST_SIDE for array in arrays)
    channels: Literal[1, 3] = 1 if only_arrays and all(array.ndim == 2 for array in arrays) else 3
    side = SMALLEST_SIDE if tiny else _SIDE
    # Stretched, since padding would make all images of one shape alike.
    grey = (0.5,) * channels
    return Preprocessing(image_hw=(side, side), fit="stretch", channels=channels, mean=grey, std=grey)


def _counts(dataset: Dataset, rows: Iterable[int]) -> dict[str, dict[str, int]]:
    by_class: dict[str, Counter[str]] = {name: Counter() for name in dataset.classes}
    for row in rows:
        sample = dataset.samples[row]
        for label in labels_of(sample):
            by_class[dataset.classes[label]][sample.split or NO_SPLIT] += 1
    return {name: dict(_in_order(counts)) for name, counts in by_class.items()}


def _in_order(counts: Counter[str]) -> Iterable[tuple[str, int]]:
    return ((split, counts[split]) for split in (*SPLITS, NO_SPLIT) if split in counts)


def _small_classes(dataset: Dataset, look: Pack) -> dict[str, int]:
    counts = _counts(dataset, _training_rows(dataset, look))
    totals = {name: sum(by_split.values()) for name, by_split in counts.items()}
    return {name: total for name, total in totals.items() if total < SMALL_CLASS}


def _training_rows(dataset: Dataset, look: Pack) -> list[int]:
    usable: list[int] = look.usable.tolist()
    return [row for row in usable if dataset.samples[row].split == "train"] or usable


def _statistics(dataset: Dataset, look: Pack) -> tuple[tuple[float, ...], tuple[float, ...]]:
    rows = _training_rows(dataset, look)
    if not rows:
        return (), ()
    mean, std = channel_statistics(look.images, np.array(rows, np.int64))
    channels = 1 if set(look.colours) <= _GREY | {""} else 3
    return mean[:channels], std[:channels]


def _file_sizes(dataset: Dataset) -> list[int]:
    paths = [sample.image for sample in dataset.samples if isinstance(sample.image, Path)]
    return [path.stat().st_size for path in paths if path.is_file()]


def _is_missing(image: Path | ImageArray) -> bool:
    return isinstance(image, Path) and not image.exists()


def _spread(values: ArrayLike) -> Spread | None:
    numbers = np.asarray(values)
    if numbers.size == 0:
        return None
    return Spread(float(numbers.min()), float(np.median(numbers)), float(numbers.max()))


def _why_no_near_duplicates(look: Pack) -> str:
    sides = look.original_hw[look.usable].min(axis=1)
    if len(sides) == 0:
        return "no image can be used"
    if np.median(sides) < SMALLEST_SIDE:
        return f"half of the images or more are under {SMALLEST_SIDE} pixels, where different ones look alike"
    return ""


def _copies(
    kind: Literal["exact", "near"], groups: Iterable[Sequence[int]], dataset: Dataset, look: Pack
) -> list[Copies]:
    found = []
    for group in groups:
        rows = tuple(row for row in group if row not in look.broken)
        if len(rows) < 2:
            continue
        samples = [dataset.samples[row] for row in rows]
        labels = tuple(tuple(dataset.classes[label] for label in labels_of(sample)) for sample in samples)
        splits = tuple(sample.split or NO_SPLIT for sample in samples)
        names = tuple(sample.name for sample in samples)
        found.append(Copies(kind, rows, names, labels, splits, len(set(labels)) > 1, len(set(splits)) > 1))
    return found
