"""What goes with YOLO's labels: the classes' names and the splits, in data.yaml or in a list of names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from convolve.data.dataset import Split
from convolve.data.reading import list_lines, split_of_word
from convolve.errors import UserError

_YAML = {".yaml", ".yml"}
_LISTS = ("classes.txt", "classes.names", "obj.names", "names.txt", "labels.txt", "predefined_classes.txt")
_MOST_BYTES = 1 << 20
_DEEPEST = 16
_FORM = "It must hold names: [cell, bubble], or names: {0: cell, 1: bubble}."


@dataclass(frozen=True, slots=True)
class YoloDescription:
    """What a data.yaml says.

    Attributes:
        file: the file.
        names: of the classes, in order.
        base: the folder inside the data's that paths start at, as written; "" where it is the data's own.
        places: (split, path as written) of folders of images, or lists of them.
    """

    file: Path
    names: tuple[str, ...]
    base: str
    places: tuple[tuple[Split, str], ...]


def description_in(folder: Path) -> Path | None:
    """The file like data.yaml in a folder, if there is one and no other."""
    files = [file for file in sorted(folder.iterdir()) if is_description(file)]
    return files[0] if len(files) == 1 else None


def is_description(file: Path) -> bool:
    """Whether a file is a YAML with names of classes, by its words."""
    if file.suffix.lower() not in _YAML or not file.is_file() or file.stat().st_size > _MOST_BYTES:
        return False
    return any(line.startswith(b"names:") for line in file.read_bytes().splitlines())


def read_description(file: Path) -> YoloDescription:
    """What a file like data.yaml says.

    Raises:
        UserError: it is no YAML, or its names or paths are not of the form.
    """
    told = _parse(file)
    names, base = told.get("names"), told.get("path", "")
    if isinstance(names, dict):
        names = _in_order(names, file)
    if not isinstance(names, list) or not names:
        raise UserError(f"{file.name}: 'names' is no list of classes", _FORM)
    places: list[tuple[Split, str]] = []
    for key, value in told.items():
        split = split_of_word(key) if isinstance(key, str) else None
        if split is not None:
            places += [(split, place) for place in _texts(value, f"{file.name}: '{key}'") if place]
    return YoloDescription(
        file,
        _checked(_texts(names, f"{file.name}: 'names'"), file.name),
        "".join(_texts(base, f"{file.name}: 'path'")),
        tuple(places),
    )


def is_list_of_names(name: str) -> bool:
    """Whether a file of this name lists classes."""
    return name.lower() in _LISTS or name.lower().endswith(".names")


def names_beside(folders: Iterable[Path]) -> tuple[tuple[str, ...], Path] | None:
    """The names in a list such as classes.txt in the first of these folders that has one, and the list."""
    for folder in folders:
        found = {file.name.lower(): file for file in sorted(folder.iterdir()) if file.is_file()}
        lists = [name for name in _LISTS if name in found] + [name for name in found if name.endswith(".names")]
        if lists:
            file = found[lists[0]]
            lines = [line.strip() for line in list_lines(file, called=file.name)]
            while lines and not lines[-1]:
                lines.pop()
            return _checked(lines, file.name), file
    return None


def _parse(file: Path) -> dict[str, Any]:
    """The mapping of a file, of which every value is text, a list or a mapping: a class may be called no or 1e3."""
    content = file.read_bytes()
    try:
        _check_plain(content, file.name)
        told = yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506 it builds text, lists and mappings alone
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{file.name}{line}: not YAML: {error.problem}", _FORM) from error
    except yaml.YAMLError as error:
        raise UserError(f"{file.name}: not YAML", _FORM) from error
    if not isinstance(told, dict):
        raise UserError(f"{file.name}: 'names' is no list of classes", _FORM)
    return told


def _check_plain(content: bytes, called: str) -> None:
    """Refuse what takes its toll in time or memory: deep nesting, and aliases, which can stand for billions of entries.

    Raises:
        UserError: there is one of them.
        YAMLError: it is no YAML.
    """
    depth = 0
    for event in yaml.parse(content, Loader=yaml.BaseLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UserError(f"{called}: it has aliases (*name)", "Write out what they stand for.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise UserError(f"{called}: not YAML of a data set: {depth} lists in each other", _FORM)


def _texts(value: Any, what: str) -> list[str]:
    """A text, or a list of texts."""
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise UserError(f"{what} is neither a text nor a list of texts", _FORM)
    return texts


def _in_order(names: dict[str, Any], file: Path) -> list[Any]:
    try:
        by_number = {int(key): name for key, name in names.items()}
    except (ValueError, TypeError):
        raise UserError(f"{file.name}: a key of 'names' is no number", _FORM) from None
    if sorted(by_number) != list(range(len(names))):
        raise UserError(f"{file.name}: the keys of 'names' are not 0 to {len(names) - 1}", _FORM)
    return [by_number[key] for key in sorted(by_number)]


def _checked(names: Sequence[str], called: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in names)
    for number, name in enumerate(found):
        if not name or name in found[:number]:
            fault = f"is '{name}' once more" if name else "is empty"
            raise UserError(f"{called}: the name of class {number} {fault}", "Give each class a name of its own.")
    if not found:
        raise UserError(f"{called}: there are no names in it", "Write one for each class, in the order of the numbers.")
    return found
