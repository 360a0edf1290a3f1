"""What is done about boxes that are not as they should be: one policy for every format.

- A coordinate that is no finite number stops the work, and so do a class that is not listed, an image that two
  annotations claim, and an image file of another size than the annotation tells: boxes of another picture cannot be
  mended. A size of 0 is taken for one that was not written.
- Corners in the wrong order are put right. A box partly outside the image is clipped. Boxes that are less than a pixel
  wide or high stay. All three are noted, the second only beyond half a pixel, which is rounding.
- A box without area or wholly outside the image is dropped, which is a problem.
- An image without boxes shows no object, a class without a box stays a class; both are noted.

Oddities of one kind are counted, and their first places named.
"""

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from convolve.data.dataset import Box, Boxes, Dataset, Note, Problem, Sample, Split
from convolve.data.decoding import BrokenImage, upright_hw
from convolve.errors import UserError, nearest_name, shown

Corners: TypeAlias = tuple[float, float, float, float]

_ROUNDING = 0.5
_NO_SIDE = 0.01  # as float32 at some 100,000 pixels from the corner, less is nothing
_PLACES = 3

_SWAPPED = "corners in the wrong order: put right"
_CLIPPED = "boxes reach beyond the image: clipped"
_NARROW = "boxes are less than a pixel wide or high: kept"
_FLAT = "boxes have no area: dropped"
_OUTSIDE = "boxes lie outside the image: dropped"


@dataclass(frozen=True, slots=True)
class StatedBox:
    """A box as a file states it.

    Attributes:
        label: the class's name.
        corners: two corners x, y, x, y in pixels of the upright image, continuous, from its top left corner; nothing
            about them is sure.
        where: the file and the line or entry, for people.
        kind: as in `Box`.
    """

    label: str
    corners: Corners
    where: str
    kind: Literal["object", "difficult", "crowd"] = "object"


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image that is there, and what a file states about it.

    Attributes:
        name: of the sample.
        image: the file.
        boxes: in the file's order.
        where: the file, and the line or entry if there is one, that tells of the image.
        wh: width and height as the file tells them, pixels; None where it does not.
        split: where the data set puts the image, if anywhere.
        relative: whether the corners are shares of the image's width and height rather than pixels.
    """

    name: str
    image: Path
    boxes: Sequence[StatedBox]
    where: str
    wh: tuple[int, int] | None = None
    split: Split | None = None
    relative: bool = False


class Oddities:
    """What was noticed, by kind, with the first places of each."""

    def __init__(self) -> None:
        self._places: dict[tuple[type[Problem], str], list[str]] = {}
        self._counts: dict[tuple[type[Problem], str], int] = defaultdict(int)

    def add(self, kind: type[Problem], what: str, where: str) -> None:
        """Count one more of `what`; `kind` is `Note` where nothing is left out for it, else `Problem`."""
        places = self._places.setdefault((kind, what), [])
        if len(places) < _PLACES:
            places.append(where)
        self._counts[kind, what] += 1

    def problems(self) -> list[Problem]:
        """One for each kind, in the order they were first noticed in."""
        found = []
        for key, places in self._places.items():
            count = self._counts[key]
            more = f" and {count - len(places):,} more" if count > len(places) else ""
            found.append(key[0]("; ".join(places) + more, f"{key[1]} ({count:,} in all)"))
        return found


def boxes_dataset(
    *,
    name: str,
    form: str,
    classes: Sequence[str],
    images: Sequence[AnnotatedImage],
    problems: Iterable[Problem] = (),
) -> Dataset:
    """The data set of these images, with sound boxes, and every oddity among its problems.

    An image of which not even the size can be read is left out.

    Args:
        name: of the data set.
        form: the format it was read as.
        classes: all names, in order, none twice.
        images: in the order of the samples.
        problems: what reading the files has found.

    Raises:
        UserError: see the policies above; or not one box is left of all that are stated.
    """
    _check_no_image_twice(images)
    indices = {label: index for index, label in enumerate(classes)}
    oddities = Oddities()
    samples = []
    for image, hw in zip(images, _upright_sizes(images), strict=True):
        if isinstance(hw, BrokenImage):
            oddities.add(Problem, f"images cannot be used: {hw}", image.name)
            continue
        _check_size(image, hw)
        objects = [box for stated in image.boxes if (box := _sound_box(stated, image, hw, indices, oddities))]
        samples.append(Sample(image.name, image.image, Boxes(hw, tuple(objects)), image.split))
    found = [*problems, *oddities.problems()]
    _check_any_box_left(samples, images, oddities)
    return Dataset(
        name=name,
        form=form,
        classes=tuple(classes),
        samples=tuple(samples),
        problems=(*found, *_absences(samples, classes)),
    )


def _check_no_image_twice(images: Sequence[AnnotatedImage]) -> None:
    first: dict[Path, AnnotatedImage] = {}
    for image in images:
        earlier = first.setdefault(image.image, image)
        if earlier is not image:
            raise UserError(
                f"{image.where}: image '{image.name}' is annotated in {earlier.where} already",
                "An image has one annotation, and belongs to one split: leave out one of the two.",
            )


def _upright_sizes(images: Sequence[AnnotatedImage]) -> list[tuple[int, int] | BrokenImage]:
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(_upright_size, images))


def _upright_size(image: AnnotatedImage) -> tuple[int, int] | BrokenImage:
    try:
        return upright_hw(image.image)
    except BrokenImage as error:
        return error


def _check_size(image: AnnotatedImage, hw: tuple[int, int]) -> None:
    height, width = hw
    if image.wh is None or min(image.wh) <= 0 or image.wh == (width, height):
        return
    remedy = "Is it another picture, or was it scaled? Annotate the file as it is, or put the annotated one back."
    if image.wh == (height, width):
        remedy = (
            "If its EXIF note turns it: annotate the photo as viewers show it, or save it without the note. "
            "Otherwise width and height are swapped there."
        )
    raise UserError(
        f"{image.where}: '{image.name}' has {width} x {height} pixels when it stands upright, not "
        f"{image.wh[0]} x {image.wh[1]} as told there",
        remedy,
    )


def _sound_box(
    stated: StatedBox, image: AnnotatedImage, hw: tuple[int, int], indices: dict[str, int], oddities: Oddities
) -> Box | None:
    """The box within its image; None if nothing of it is."""
    if stated.label not in indices:
        raise _unknown_class(stated, indices)
    if not all(map(math.isfinite, stated.corners)):
        raise UserError(
            f"{stated.where}: the box is {', '.join(f'{value:g}' for value in stated.corners)}: not finite numbers",
            "Mend the box or leave it out.",
        )
    height, width = hw
    x0, y0, x1, y1 = stated.corners
    if image.relative:
        x0, y0, x1, y1 = x0 * width, y0 * height, x1 * width, y1 * height
    if x1 < x0 or y1 < y0:
        oddities.add(Note, _SWAPPED, stated.where)
        x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    if min(x1 - x0, y1 - y0) < _NO_SIDE:
        oddities.add(Problem, _FLAT, stated.where)
        return None
    left, top, right, bottom = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    if min(right - left, bottom - top) < _NO_SIDE:
        oddities.add(Problem, _OUTSIDE, stated.where)
        return None
    if max(left - x0, top - y0, x1 - right, y1 - bottom) > _ROUNDING:
        oddities.add(Note, _CLIPPED, stated.where)
    if min(right - left, bottom - top) < 1:
        oddities.add(Note, _NARROW, stated.where)
    return Box(indices[stated.label], (left, top, right, bottom), stated.kind)


def _unknown_class(stated: StatedBox, known: Iterable[str]) -> UserError:
    near = nearest_name(stated.label, known)
    guess = f"Did you mean '{near}'? " if near else ""
    return UserError(
        f"{stated.where}: no class '{stated.label}'", f"{guess}The classes are {shown(known, at_most=10)}."
    )


def _check_any_box_left(samples: Sequence[Sample], images: Sequence[AnnotatedImage], oddities: Oddities) -> None:
    stated = sum(len(image.boxes) for image in images)
    left = sum(len(sample.target.objects) for sample in samples if isinstance(sample.target, Boxes))
    if samples and stated and not left:
        why = next(problem for problem in oddities.problems() if not isinstance(problem, Note))
        raise UserError(
            f"not one of {stated:,} boxes can be used: {why.where}: {why.what}",
            "Are they in pixels where they should be in shares of the image, or the other way round?",
        )


def _absences(samples: Sequence[Sample], classes: Sequence[str]) -> list[Problem]:
    targets = [(sample.name, sample.target) for sample in samples if isinstance(sample.target, Boxes)]
    empty = [name for name, target in targets if not target.objects]
    seen = {box.index for _, target in targets for box in target.objects}
    bare = [f"'{label}'" for index, label in enumerate(classes) if index not in seen]
    found: list[Problem] = []
    if empty:
        what = f"images have no box: they show that nothing is there ({len(empty):,} in all)"
        found.append(Note(shown(empty), what))
    if bare:
        found.append(Note("classes", f"{len(bare):,} of {len(classes):,} have no box: {shown(bare)}"))
    return found
