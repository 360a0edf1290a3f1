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


@dataclass(frozen=True, slots=True)
class Outline:
    """One object of a mask that is stored as shapes.

    Attributes:
        index: its class, an index into `Dataset.classes`; None for pixels that shall not count (a crowd).
        polygons: each the corners (x, y, x, y, ...) in pixels from the image's top left corner; empty with `runs`.
        runs: instead, COCO's run lengths: the number of pixels outside, inside, outside, ... down the columns, from
            left to right; empty with polygons.
    """

    index: int | None
    polygons: tuple[tuple[float, ...], ...] = ()
    runs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outlines:
    """A mask as shapes on a background; where shapes overlap, the later one is on top.

    Attributes:
        hw: height and width of the image, pixels.
        shapes: in the order they are drawn.
        background: class of what no shape covers; None where that shall not count.
    """

    hw: tuple[int, int]
    shapes: tuple[Outline, ...]
    background: int | None = 0


@dataclass(frozen=True, slots=True)
class Mask:
    """A class for every pixel.

    Attributes:
        source: a file whose values or colours `Dataset.coding` explains, or (H, W) uint8 pixels likewise, or shapes.
    """

    source: Path | ImageArray | Outlines


@dataclass(frozen=True, slots=True)
class Box:
    """One annotated object.

    Attributes:
        index: its class, an index into `Dataset.classes`.
        corners: left, top, right, bottom in pixels from the upright image's top left corner, continuous: a box around
            the whole of an image is (0, 0, width, height). Within the image, right > left, bottom > top.
        kind: "object"; "difficult": one that need not be found and is no false alarm (VOC); "crowd": a region with any
            number of objects of the class, in which detections of it count nowhere (COCO).
    """

    index: int
    corners: tuple[float, float, float, float]
    kind: Literal["object", "difficult", "crowd"] = "object"


@dataclass(frozen=True, slots=True)
class Boxes:
    """The objects of an image; none are an answer as well.

    Attributes:
        hw: height and width of the upright image, pixels.
        objects: in the annotation's order.
    """

    hw: tuple[int, int]
    objects: tuple[Box, ...]


Target: TypeAlias = ClassLabel | ClassLabels | Mask | Boxes

IGNORE = 255
"""In decoded masks: a pixel that has no class and counts nowhere, not in the loss, not in any figure."""


@dataclass(frozen=True, slots=True)
class MaskCoding:
    """What the values of mask files mean.

    Attributes:
        kind: "index": a file's grey or palette value is a number; "colour": its RGB colour is a class.
        values: for each class, in the order of `Dataset.classes`, the values (index) or colours (r, g, b) that mean it.
        ignored: values or colours declared to count nowhere; all that is not declared at all is ignored as well, but
            counted and reported.
        colours: (K) r, g, b of each class in pictures.
    """

    kind: Literal["index", "colour"]
    values: tuple[tuple[int, ...], ...] | tuple[tuple[tuple[int, int, int], ...], ...]
    ignored: tuple[int, ...] | tuple[tuple[int, int, int], ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()


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
class Note(Problem):
    """Something worth knowing, for which nothing was left out."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images with their targets, as a reader found them.

    Attributes:
        name: what the user calls it: a folder's or file's name, or a built-in name.
        form: the format it was read as, for example "class folders".
        classes: names; a target's index points here. Sorted, unless the format has an order of its own.
        samples: in an order that is the same on every machine.
        problems: what was left out, and notes.
        proposed_test_share: the share a built-in set's authors keep for testing, where they say so.
        licence: of the images, where it is known.
        coding: what the values of masks mean; None until they were looked at (`data.masks.settling`), and where the
            targets are no masks.
    """

    name: str
    form: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()
    proposed_test_share: float | None = None
    licence: str = ""
    coding: MaskCoding | None = None

    @property
    def has_masks(self) -> bool:
        """Whether every pixel has a class, rather than every image."""
        return any(isinstance(sample.target, Mask) for sample in self.samples)

    @property
    def has_boxes(self) -> bool:
        """Whether objects have boxes and classes, rather than images."""
        return any(isinstance(sample.target, Boxes) for sample in self.samples)

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
    """The class indices of a sample, each once, ascending: of several labels or boxes any number, of a mask none."""
    match sample.target:
        case ClassLabel(index):
            return (index,)
        case ClassLabels(indices):
            return indices
        case Boxes(_, objects):
            return tuple(sorted({one.index for one in objects}))
        case Mask():
            return ()


def class_counts(samples: Iterable[Sample], classes: int) -> NDArray[np.int64]:
    """(K,) how many of the samples carry each class."""
    counts = Counter(label for sample in samples for label in labels_of(sample))
    return np.array([counts[index] for index in range(classes)], dtype=np.int64)
