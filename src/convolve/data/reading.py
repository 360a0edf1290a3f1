"""Data sets by what the user calls them: every reader is asked whether it knows the format, and exactly one answers."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from convolve.data.dataset import Dataset, Problem, Split
from convolve.errors import UserError, nearest_name, shown
from convolve.registry import Registry

_PHOTOS = [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".tga"]
_NETPBM = [".ppm", ".pgm", ".pbm", ".pnm"]
IMAGE_SUFFIXES = frozenset([*_PHOTOS, *_NETPBM])
"""What files must end with, in small letters, to be taken for images."""

_LARGEST_LIST = 64 << 20
_CLUTTER = {"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin"}
_DOCUMENTS = {"readme", "license", "licence", "copying", "notice", "citation", "authors", "changelog"}
_SPLIT_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


class Reader(Protocol):
    """One format, or one built-in data set. Final classes fill it; a reader is one file that registers an instance.

    Attributes:
        form: the format's name, for example "class folders".
        layout: one line for users: what the format looks like.
        built_in: whether it is a data set of its own, which the source names in just the word it is registered by.
    """

    form: str
    layout: str
    built_in: bool

    def recognise(self, source: str) -> bool:
        """Whether the source looks like this format, from names and first bytes; whether it is sound is not asked."""

    def read(self, source: str) -> Dataset:
        """The data set; what could not be used is among its problems.

        Raises:
            UserError: it is not sound; the message says where and what to do.
        """

    def write_example(self, folder: Path) -> str:
        """Write a tiny example of the format into an empty folder, and return the source that names it."""


@runtime_checkable
class BoxReader(Reader, Protocol):
    """A reader of boxes, which may lie in a source that another reader takes for masks."""

    def holds_boxes(self, source: str) -> bool:
        """Whether boxes can be read there; `recognise` may leave the source to a reader of masks all the same."""


READERS: Registry[Reader] = Registry("data format", "convolve.data.readers")


@dataclass(frozen=True, slots=True)
class MissingFile(Problem):
    """A row that names a file which is not there."""


def read_dataset(source: str, *, missing: Literal["error", "skip"] = "error", task: str = "auto") -> Dataset:
    """The data set that the user means.

    A built-in name means the built-in set, even beside a folder of that name (which is "./digits"). Anything else is a
    path; "~" is the user's home.

    Args:
        source: a folder, a file, or a built-in name.
        missing: whether rows that name files which are not there stop the work, or only count as problems.
        task: what to predict, as a recipe has it: "detect" reads boxes where there are masks as well.

    Raises:
        UserError: nothing is there, no reader knows it or several do, it is not sound, files are missing, or there are
            no two classes to tell apart (for boxes: not one).
    """
    if not source:
        raise UserError("no data are named", "Give a folder, a file, or a built-in name; '.' is the current folder.")
    if source in READERS and READERS[source].built_in:
        dataset = READERS[source].read(source)
        if Path(source).exists():
            beside = Problem(f"./{source}", f"not read: '{source}' means the built-in data set")
            dataset = dataset.keep(range(len(dataset.samples)), [beside])
    else:
        dataset = read_path(Path(source).expanduser(), called=source, task=task)
    absent = [problem for problem in dataset.problems if isinstance(problem, MissingFile)]
    if absent and missing == "error":
        raise _missing_files(absent, left=len(dataset.samples))
    _check_classes(dataset, source)
    return dataset


def read_path(path: Path, *, called: str, task: str = "auto") -> Dataset:
    """What lies at a path, by the one reader that knows it; neither classes nor missing files are looked at.

    Args:
        path: a file or a folder.
        called: what the user calls it, for messages.
        task: as for `read_dataset`.

    Raises:
        UserError: nothing is there, no reader knows it or several do, or it is not sound.
    """
    if not path.exists():
        raise _nothing_there(path, called)
    # A built-in name is a word and no path: "./digits" is a folder.
    readers = [READERS[name] for name in READERS if not READERS[name].built_in]
    answers: list[Reader] = []
    if task == "detect":
        answers += [reader for reader in readers if isinstance(reader, BoxReader) and reader.holds_boxes(str(path))]
    answers = answers or [reader for reader in readers if reader.recognise(str(path))]
    if not answers:
        raise _unrecognised(path, called)
    if len(answers) > 1:
        forms = " as well as ".join(reader.form for reader in answers)
        raise UserError(f"{called}: this is {forms}", "Name the file or the folder inside that is meant.")
    return answers[0].read(str(path))


def list_lines(file: Path, *, called: str) -> list[str]:
    """The lines of a small text file that lists images.

    Args:
        file: UTF-8, of at most 64 MiB.
        called: the file, in messages.

    Raises:
        UserError: it is larger, or no UTF-8 text.
    """
    size = file.stat().st_size
    if size > _LARGEST_LIST:
        raise UserError(f"{called}: {size:,} bytes are no list of names", "Is it another file?")
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        broken = content[: error.start].count(b"\n") + 1
        raise UserError(f"{called}, line {broken}: not UTF-8 text", "Save the list in UTF-8.") from error


def is_image_file(name: str) -> bool:
    """Whether a file's name is an image's."""
    stem, dot, ending = name.rpartition(".")  # many times faster than a Path, for folders of a million names
    return bool(stem) and not name.startswith(".") and dot + ending.lower() in IMAGE_SUFFIXES


def is_clutter(name: str) -> bool:
    """Whether a file or folder of this name says nothing about data: hidden, left by a system, or a document."""
    lower = name.lower()
    if lower.startswith(".") or lower in _CLUTTER:
        return True
    return Path(lower).stem in _DOCUMENTS and Path(lower).suffix in {"", ".txt", ".md", ".rst", ".pdf", ".html", ".cff"}


def split_of_word(word: str) -> Split | None:
    """The split that a word such as "val" or "Testing" stands for."""
    return _SPLIT_WORDS.get(word.strip().lower())


def name_below(path: Path, folder: Path) -> str:
    """A file's name for people and samples: its path below the folder with slashes, in Unicode's NFC.

    What is not UTF-8 in it comes out as question marks.
    """
    return unicodedata.normalize("NFC", path.relative_to(folder).as_posix()).encode(errors="replace").decode()


def _nothing_there(path: Path, called: str) -> UserError:
    try:
        beside = {entry.name: str(Path(called).parent / entry.name) for entry in path.parent.iterdir()}
    except OSError:
        return UserError(f"{called}: there is no folder {path.parent}", "Check the path's beginning.")
    near = nearest_name(path.name, [*beside, *_built_in()])
    guess = f"Did you mean {beside.get(near, near)}? " if near else ""
    return UserError(f"{called}: no such file or folder", f"{guess}Built-in data sets: {', '.join(_built_in())}.")


def _built_in() -> list[str]:
    return [name for name in READERS if READERS[name].built_in]


def _unrecognised(path: Path, called: str) -> UserError:
    formats = [f"{READERS[name].form} ({READERS[name].layout})" for name in READERS if not READERS[name].built_in]
    remedy = f"Formats: {'; '.join(formats)}. Built-in data sets: {', '.join(_built_in())}."
    if path.is_file():
        return UserError(f"{called}: a {path.suffix or 'nameless'} file that is no data set", remedy)
    entries = [entry for entry in path.iterdir() if not is_clutter(entry.name)]
    if not entries:
        return UserError(f"{called}: the folder is empty", remedy)
    folders = sorted(entry.name for entry in entries if entry.is_dir())
    endings = Counter(entry.suffix.lower() or "no ending" for entry in entries if entry.is_file())
    seen = [f"{count} files {ending}" for ending, count in endings.most_common(3)]
    if folders:
        seen.append(f"folders {shown(folders)}")
    if not folders and all(ending in IMAGE_SUFFIXES for ending in endings):
        remedy = f"Sort the images into one folder for each class. {remedy}"
    return UserError(f"{called}: no data set that a reader knows, but {', '.join(seen)}", remedy)


def _missing_files(absent: list[MissingFile], *, left: int) -> UserError:
    first, *others = absent
    places = [problem.where.rpartition(" ")[2] for problem in others]
    row, line = ("row", "line ") if ", line " in first.where else ("annotation", "")
    if others:
        counted = f"{len(absent):,} {row}s in all point to missing files (also {line}{shown(places)})."
    else:
        counted = f"It is the only {row} that points to a missing file."
    way_out = f"Mend them, or train on the other {left:,}: data.missing=skip" if left else "Is this the right folder?"
    return UserError(f"{first.where}: {first.what}", f"{counted} {way_out}")


def _check_classes(dataset: Dataset, source: str) -> None:
    if not dataset.samples:
        why = f" ({dataset.problems[0].where}: {dataset.problems[0].what})" if dataset.problems else ""
        raise UserError(f"{source}: there is not one image in it{why}", "Name the folder that holds the data.")
    # With several labels one class is a question already: whether an image carries it; and with boxes, where.
    # Masks tell theirs later.
    if dataset.has_boxes and not dataset.classes:
        raise UserError(
            f"{source}: not one of {len(dataset.samples):,} images has a box", "Annotate some of them with boxes."
        )
    one_is_enough = dataset.several_labels or dataset.has_masks or dataset.has_boxes
    if len(dataset.classes) < 2 and not one_is_enough:
        raise UserError(
            f"{source}: one class only, '{dataset.classes[0]}' with {len(dataset.samples):,} images",
            "There must be two to tell apart: add a class for all else, or name the folder that holds the classes.",
        )
