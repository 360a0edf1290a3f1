"""What every reader returns: samples, their targets, the classes, and what was wrong with the files."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

ImageArray: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ClassLabel:
    """One class an image: its index into `Dataset.classes`."""

    index: int


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """Any number of classes an image, none included: their indices into `Dataset.classes`, ascending."""

    indices: tuple[int, ...]


Target: TypeAlias = ClassLabel | ClassLabels


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known about it.

    Attributes:
        name: unique in its data set and the same on every machine: the path below the data set's folder, with
            slashes, or the number in its array.
        image: the file, or pixels as (H, W) or (H, W, C) uint8.
        target: what a network is to predict.
        split: where the data set itself puts the image, if it says so.
        group: images of one group (a patient, a recording, a site) are never split; None stands alone.
        stratum: images of one stratum are spread evenly over splits; None stands for the class.
    """

    name: str
    image: Path | ImageArray
    target: Target
    split: Split | None = None
    group: str | None = None
    stratum: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or a row that could not be used, for the report: where it is and what is wrong with it."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images with their targets, as a reader found them.

    Attributes:
        name: what the user calls it: a folder's or file's name, or a built-in name.
        form: the format it was read as, for example "class folders".
        classes: names; a target's index points here. Sorted, unless the format has an order of its own.
        samples: in an order that is the same on every machine.
        problems: what was left out.
        proposed_test_share: the share a built-in set's authors keep for testing, where they say so.
        licence: of the images, where it is known.
    """

    name: str
    form: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    proposed_test_share: float | None = None
    licence: str = ""

    @property
    def several_labels(self) -> bool:
        """Whether an image may have several labels (or none)."""
        return any(isinstance(sample.target, ClassLabels) for sample in self.samples)

    @property
    def given_splits(self) -> frozenset[Split]:
        """The splits that the data set itself names."""
        return frozenset(sample.split for sample in self.samples if sample.split is not None)

    def keep(self, positions: Iterable[int], problems: Sequence[Problem] = ()) -> "Dataset":
        """The same data set with only these samples, in this order, and further problems noted."""
        return replace(
            self,
            samples=tuple(self.samples[position] for position in positions),
            problems=self.problems + tuple(problems),
        )


def labels_of(sample: Sample) -> tuple[int, ...]:
    """The class indices of a sample: one, or any number where a sample has several labels."""
    match sample.target:
        case ClassLabel(index):
            return (index,)
        case ClassLabels(indices):
            return indices


def class_counts(samples: Iterable[Sample], classes: int) -> NDArray[np.int64]:
    """(K,) how many of the samples carry each class."""
    counts = Counter(label for sample in samples for label in labels_of(sample))
    return np.array([counts[index] for index in range(classes)], dtype=np.int64)
