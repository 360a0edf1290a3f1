"""COCO's JSON: images, categories and annotations, read once and checked, for whatever they are used as.

The format is that of https://cocodataset.org/#format-data. Keys that nothing here reads may be there or not.
"""

import mmap
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from convolve.data.annotation_files import inner_path
from convolve.data.dataset import Problem
from convolve.data.decoding import MAX_PIXELS
from convolve.errors import UserError, shown

# The first fault is told; a file with a million would otherwise have a million errors in memory.
Polygons: TypeAlias = Annotated[tuple[Annotated[tuple[float, ...], Field(fail_fast=True)], ...], Field(fail_fast=True)]

_STRICT = ConfigDict(strict=True)
_MAX_BYTES = 1 << 30
_OUTLINE = re.compile(rb'"segmentation"\s*:\s*(\[\s*\[\s*[-\d]|\{)')
_BOX_OR_OUTLINE = re.compile(rb'"bbox"\s*:\s*\[\s*[-\dNI]|' + _OUTLINE.pattern)
_JSON_FAULT = re.compile(r"Invalid JSON: (.*) at line (\d+) column (\d+)")
_MARK = b"\xef\xbb\xbf"


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class RunLengths:
    """A mask as run lengths: counts as numbers or as COCO's compressed string, and (height, width)."""

    counts: Annotated[tuple[int, ...], Field(fail_fast=True)] | str
    size: tuple[int, int]


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class CocoImage:
    """One image: its number, its path below the data's folder (with slashes), its size in pixels."""

    id: int
    file_name: Annotated[str, Field(min_length=1)]
    height: Annotated[int, Field(ge=1, le=MAX_PIXELS)]
    width: Annotated[int, Field(ge=1, le=MAX_PIXELS)]


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class CocoCategory:
    """One class of objects."""

    id: int
    name: Annotated[str, Field(min_length=1)]


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class CocoAnnotation:
    """One object, or one crowd of them that cannot be told apart.

    Attributes:
        id: its number; nothing refers to it.
        image_id: of a `CocoImage`.
        category_id: of a `CocoCategory`.
        segmentation: polygons (x, y, x, y, ...) or run lengths, as the file has them; None or empty if it has none.
        iscrowd: whether it is a crowd.
        bbox: left, top, width, height in pixels, continuous, from the image's top left corner; None or empty if it has
            none.
    """

    id: int
    image_id: int
    category_id: int
    segmentation: Polygons | RunLengths | None = None
    iscrowd: bool | Annotated[int, Field(ge=0, le=1)] = False
    bbox: Annotated[tuple[float, ...], Field(fail_fast=True)] | None = None


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class _Document:
    images: Annotated[list[CocoImage], Field(fail_fast=True)]
    annotations: Annotated[list[CocoAnnotation], Field(fail_fast=True)]
    categories: Annotated[list[CocoCategory], Field(fail_fast=True)]


@dataclass(frozen=True, slots=True)
class CocoFile:
    """A file whose parts refer to each other soundly.

    Attributes:
        path: the file.
        images: in the file's order; no id and no file name twice.
        annotations: in the file's order, of these categories; those of images that the file does not have, too.
        categories: ascending by id; no id and no name twice. One that no annotation has is left out if it is called
            like one that some have.
        problems: what was noticed and does not stop the work.
    """

    path: Path
    images: tuple[CocoImage, ...]
    annotations: tuple[CocoAnnotation, ...]
    categories: tuple[CocoCategory, ...]
    problems: tuple[Problem, ...]


def read_coco(path: Path) -> CocoFile:
    """A COCO file's images, annotations and categories, checked but for the outlines' coordinates.

    Raises:
        UserError: it is not JSON, a key is missing or holds something else than it must, an id or a name is there
            twice, an annotation's category is not there, or an image's path leaves the data's folder.
    """
    document = _without_idle_copies(_parse(path))
    images = tuple(
        CocoImage(image.id, _inner_path(image.file_name, path, position), image.height, image.width)
        for position, image in enumerate(document.images)
    )
    _check_none_twice((image.id for image in images), "images", "id", path)
    _check_none_twice((image.file_name for image in images), "images", "file_name", path)
    _check_none_twice((category.id for category in document.categories), "categories", "id", path)
    _check_none_twice((category.name for category in document.categories), "categories", "name", path)
    for position, image in enumerate(images):
        if image.height * image.width > MAX_PIXELS:
            raise UserError(
                f"{path.name}, images[{position}]: {image.width} x {image.height} pixels are more than "
                f"{MAX_PIXELS / 1e6:g} megapixels",
                "Cut the image into tiles.",
            )
    _check_categories(document, path)
    return CocoFile(
        path,
        images,
        tuple(document.annotations),
        tuple(sorted(document.categories, key=lambda category: category.id)),
        tuple(_noticed(document, path)),
    )


def category_names(files: Sequence[CocoFile]) -> dict[int, str]:
    """The categories of all files, ascending by id.

    Raises:
        UserError: a category has two names or two ids.
    """
    names: dict[int, str] = {}
    for file in files:
        for category in file.categories:
            other = names.setdefault(category.id, category.name)
            if other != category.name:
                raise UserError(
                    f"{file.path.name}: category {category.id} is '{category.name}' here and '{other}' in another file",
                    "Give each category one id in all files.",
                )
    if len(set(names.values())) < len(names):
        raise UserError(
            f"{shown(file.path.name for file in files)}: a category has different ids in different files",
            "Give each category one id in all files.",
        )
    return dict(sorted(names.items()))


def has_outlines(path: Path) -> bool:
    """Whether a file is a COCO file with at least one outline, by its name and its words; it is not parsed."""
    return _is_coco_with(_OUTLINE, path)


def has_boxes(path: Path) -> bool:
    """Whether it is one with at least one box, or outline that has a box, likewise."""
    return _is_coco_with(_BOX_OR_OUTLINE, path)


def _is_coco_with(words: re.Pattern[bytes], path: Path) -> bool:
    if path.suffix.lower() != ".json" or not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        keys = all(content.find(key) >= 0 for key in (b'"images"', b'"annotations"', b'"categories"'))
        return keys and words.search(content) is not None


def _parse(path: Path) -> _Document:
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise UserError(
            f"{path.name}: {size / 2**30:.1f} GiB of JSON; at most {_MAX_BYTES >> 30} GiB can be read",
            "Divide the images among several files.",
        )
    try:
        return TypeAdapter(_Document).validate_json(path.read_bytes().removeprefix(_MARK))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise _in_words(fault["loc"], fault["msg"], path) from error


def _without_idle_copies(document: _Document) -> _Document:
    """Without categories that nothing refers to and that have another one's name.

    Roboflow writes the data set's name as the first category, which is often that of its only class.
    """
    used = {annotation.category_id for annotation in document.annotations}
    names = {category.name for category in document.categories if category.id in used}
    kept = [category for category in document.categories if category.id in used or category.name not in names]
    return _Document(document.images, document.annotations, kept)


def _in_words(place: tuple[int | str, ...], message: str, path: Path) -> UserError:
    if broken := _JSON_FAULT.match(message):
        what, line, column = broken.groups()
        return UserError(f"{path.name}, line {line}, column {column}: not JSON: {what}", "Is the file whole?")
    entry = f", {place[0]}[{place[1]}]" if len(place) > 1 else ""
    keys = [key for key in place if isinstance(key, str)]
    remedy = "It must hold COCO's lists: images, annotations and categories."
    if "segmentation" in keys:
        return UserError(
            f"{path.name}{entry}: 'segmentation' is neither a list of polygons nor run lengths",
            "It must be [[x, y, x, y, ...], ...] or {counts, size}, with numbers that are not in quotes.",
        )
    if "bbox" in keys:
        return UserError(
            f"{path.name}{entry}: 'bbox' is no list of numbers",
            "It must be [left, top, width, height] in pixels, with numbers that are not in quotes.",
        )
    if entry:
        remedy = "Mend the entry, or leave it out; entries are counted from 0."
    key = f"'{keys[len(place) > 1]}': " if len(keys) > (len(place) > 1) else ""
    return UserError(f"{path.name}{entry}: {key}{message[0].lower()}{message[1:]}", remedy)


def _inner_path(file_name: str, path: Path, position: int) -> str:
    """The path with slashes, without detours."""
    inner = inner_path(file_name)
    if inner is None:
        raise UserError(
            f"{path.name}, images[{position}]: 'file_name' is '{file_name}', which is no path inside the data's folder",
            "Write the path below the folder of the data, for example images/0.jpg.",
        )
    return inner


def _check_none_twice(values: Iterable[Hashable], part: str, key: str, path: Path) -> None:
    first: dict[Hashable, int] = {}
    for position, value in enumerate(values):
        earlier = first.setdefault(value, position)
        if earlier != position:
            raise UserError(
                f"{path.name}, {part}[{position}]: '{key}' is {value!r}, like that of {part}[{earlier}]",
                "Leave one of them out, or give it a value of its own.",
            )


def _check_categories(document: _Document, path: Path) -> None:
    if not document.categories:
        raise UserError(f"{path.name}: 'categories' is empty", "List each class of objects with its id and name.")
    known = {category.id for category in document.categories}
    for position, annotation in enumerate(document.annotations):
        if annotation.category_id not in known:
            raise UserError(
                f"{path.name}, annotations[{position}]: no category has the id {annotation.category_id}",
                f"The categories' ids are {shown(map(str, sorted(known)), at_most=10)}.",
            )


def _noticed(document: _Document, path: Path) -> list[Problem]:
    problems = []
    images = {image.id for image in document.images}
    strays = [n for n, annotation in enumerate(document.annotations) if annotation.image_id not in images]
    if strays:
        where = shown(f"annotations[{position}]" for position in strays)
        problems.append(Problem(f"{path.name}, {where}", "no image has the 'image_id': not used"))
    repeated = sum(count - 1 for count in Counter(annotation.id for annotation in document.annotations).values())
    if repeated:
        problems.append(Problem(f"{path.name}, annotations", f"{repeated:,} have the 'id' of another: all are used"))
    return problems
