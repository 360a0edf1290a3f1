"""Files that annotate many images each: where they lie in a folder, which split they are, where their images are."""

import ntpath
import os
import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from convolve.data.dataset import Problem, Split
from convolve.data.reading import is_clutter, split_of_word
from convolve.errors import UserError, shown

_IMAGES, _ANNOTATIONS = "images", "annotations"
_INSTANCES = "instances"


def files_inside(folder: Path, ending: str) -> Iterator[Path]:
    """Files where a data set has its annotations: at the top, in annotations/, in folders of splits.

    Args:
        folder: the data set's.
        ending: of the files' names, for example ".json".
    """
    inner = (entry for entry in sorted(folder.iterdir()) if entry.is_dir())
    places = (entry for entry in inner if entry.name == _ANNOTATIONS or split_of_word(entry.name) is not None)
    for place in chain([folder], places):
        yield from (entry for entry in sorted(place.glob(f"*{ending}")) if not is_clutter(entry.name))


def split_files(
    path: Path, holds: Callable[[Path], bool], *, ending: str, kind: str
) -> tuple[Path, dict[Path, Split | None], list[Problem]]:
    """The data set's folder, its files with their splits, and a problem for each such file that is not read.

    COCO publishes the same images with several kinds of annotations, of which instances_*.json are the objects; and
    trainval beside train is the same once more.

    Args:
        path: a file, or the data set's folder.
        holds: whether a file is of the kind.
        ending: of the files' names.
        kind: what such files are called, for example "COCO files".

    Raises:
        UserError: there are several files, and not one for each split.
    """
    if not path.is_dir():
        above = path.parent.name == _ANNOTATIONS or split_of_word(path.parent.name) is not None
        return (path.parent.parent if above else path.parent), {path: None}, []
    found = [file for file in files_inside(path, ending) if holds(file)]
    instances = [file for file in found if file.stem.startswith(_INSTANCES)]
    splits = {file: _split_of(file, path) for file in instances or found}
    if "train" in splits.values():
        splits = {file: split for file, split in splits.items() if split is not None}
    names = {file: file.relative_to(path).as_posix() for file in found}
    if len(set(splits.values())) < len(splits):
        name = "instances_{}.json" if ending == ".json" else "labels_{}.csv"
        calls = ", ".join(name.format(word) for word in ("train", "val", "test"))
        raise UserError(
            f"{path}: {len(splits)} {kind}, and not one for each split: {shown(names[file] for file in splits)}",
            f"Name the file that is meant, or call them {calls}.",
        )
    unread = [Problem(names[file], f"it is not read: the other {kind} are") for file in found if file not in splits]
    return path, splits, unread


def image_folders(file: Path, root: Path, split: Split | None) -> Iterator[Path]:
    """Where a file's images may lie, the likeliest place first."""
    places = [place for place in dict.fromkeys([file.parent, root]) if place.name != _ANNOTATIONS]
    tops = [top for place in places for top in (place, place / _IMAGES) if top.is_dir()]
    if split is not None:
        for top in tops:
            inner = [entry for entry in sorted(top.iterdir()) if entry.is_dir() and _splits_in(entry.name) == {split}]
            # val2017 before val2014 for instances_val2017.json.
            yield from sorted(inner, key=lambda entry: entry.name not in file.stem)
    yield from tops


def inner_path(name: str) -> str | None:
    r"""A path below the data's folder with slashes, without detours; None if it leads out of the folder or nowhere.

    >>> inner_path("a\\./b.png"), inner_path("../b.png"), inner_path("C:\\b.png")
    ('a/b.png', None, None)
    """
    slashed = os.path.normpath(name.replace("\\", "/")).replace(os.sep, "/")
    leads_out = ntpath.splitdrive(slashed)[0] or slashed.startswith("/") or slashed.split("/")[0] in {"..", "."}
    return None if leads_out else slashed


def _split_of(file: Path, root: Path) -> Split | None:
    """The one split that the file's name has a word for, or its folder's name."""
    if splits := _splits_in(file.stem):
        return splits.pop() if len(splits) == 1 else None
    return split_of_word(file.parent.name) if file.parent != root else None


def _splits_in(name: str) -> set[Split]:
    words = re.findall("[a-z]+", name.lower())
    return {split for word in words if (split := split_of_word(word)) is not None}
