"""What an inspection of a data set finds, as plain values for terminals, pages and JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from convolve.data.dataset import Problem
from convolve.data.preprocessing import Fit

NO_SPLIT = "no split"
"""Stands for the split of images that the data set assigns to none."""

SMALL_CLASS = 20
"""With fewer images to test on, a recall of one half is known to +- 20 points at best (Wilson's 95 % interval)."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The least, the middle and the greatest of many values."""

    least: float
    median: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Copies:
    """Images that are the same, or nearly.

    Attributes:
        kind: "exact" (equal bytes) or "near" (nearly the same picture).
        rows: their numbers in the data set, ascending.
        names: their samples' names.
        labels: each one's class names.
        splits: each one's split, `NO_SPLIT` where it has none.
        labels_differ: whether one is labelled otherwise than another: one of them is wrong.
        leak: whether they lie in more than one split: what is tested was trained on.
    """

    kind: Literal["exact", "near"]
    rows: tuple[int, ...]
    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    splits: tuple[str, ...]
    labels_differ: bool
    leak: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that was found.

    Attributes:
        name: the data set's.
        form: the format it was read as.
        fingerprint: `dataset_fingerprint` of it.
        images: how many samples there are, broken ones included.
        classes: their names.
        counts: samples by class and split, {class: {split: count}}, broken ones included; a sample of several labels
            counts for each.
        split_counts: samples by split.
        unlabelled: samples without any label.
        imbalance: the largest class over the smallest that is not empty; None where there are fewer than two.
        small_classes: usable images of classes below `SMALL_CLASS`, 0 included; of the train split where there is one.
        file_bytes: of a file; None for arrays.
        height: of an upright image, pixels; None where all are broken, as the next two.
        width: likewise.
        aspect: width over height.
        colours: how files store pixels, in Pillow's words, with counts.
        mean: per channel (one where all are grey, else RGB), of values in [0, 1], over the train split's images at 64 x
            64 pixels, or over all where no split is called train; empty where none can be used.
        std: likewise; at a larger size it is somewhat larger.
        problems: what the reader left out.
        missing: names of samples without a file.
        broken: files that are there but cannot be used.
        copies: exact and near duplicates; near ones are groups with more than one content.
        near_skipped: why near duplicates were not looked for; "" where they were.
        fit: how images of these shapes should become square, and
        fit_reason: why.
        advice: short sentences, what matters most first.
    """

    name: str
    form: str
    fingerprint: str
    images: int
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    split_counts: dict[str, int]
    unlabelled: int
    imbalance: float | None
    small_classes: dict[str, int]
    file_bytes: Spread | None
    height: Spread | None
    width: Spread | None
    aspect: Spread | None
    colours: dict[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    problems: tuple[Problem, ...]
    missing: tuple[str, ...]
    broken: tuple[Problem, ...]
    copies: tuple[Copies, ...]
    near_skipped: str
    fit: Fit
    fit_reason: str
    advice: tuple[str, ...]

    @property
    def conflicts(self) -> tuple[Copies, ...]:
        """Copies with different labels."""
        return tuple(copies for copies in self.copies if copies.labels_differ)

    @property
    def leaks(self) -> tuple[Copies, ...]:
        """Copies in different splits."""
        return tuple(copies for copies in self.copies if copies.leak)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain dicts, lists, strings and finite numbers, as `json.loads` gives it back."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return plain
