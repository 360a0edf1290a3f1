"""Tables of class names beside masks, with or without their values or colours, in the forms that circulate.

Plain text with a name a line (the line's number, from 0, is the value) or "value name"; lines of a name and r, g, b in
any order, with commas, tabs or blanks and with or without a header (CamVid's label_colors.txt, class_dict.csv); CVAT's
labelmap.txt ("name:r,g,b::"); JSON with a list of classes that have a title or name and a hexadecimal colour.
"""

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convolve.data.masks.values import Colour
from convolve.data.reading import split_of_word
from convolve.errors import UserError

# Text with values and colours made for these masks comes before what a labelling tool exports.
_NAMES = (
    "classcolors",
    "classcolours",
    "classdict",
    "classdictseg",
    "labelcolors",
    "labelcolours",
    "colormap",
    "colourmap",
    "labelmap",
    "classes",
    "classnames",
    "labels",
    "codes",
)
_SUFFIXES = (".csv", ".txt", ".names", ".json")
_MOST_BYTES = 1 << 20
_HEADER = {"name", "names", "class", "classname", "label", "labelname", "r", "g", "b", "red", "green", "blue", "index"}
_HEADER |= {"id", "value", "color", "colour", "hex", "rgb"}
_CELLS = re.compile(r"[,;\t:]")
_NUMBERS_FIRST = re.compile(r"(\d+(?:\s+\d+)*)\s+(\D.*)")
_COLOUR_LAST = re.compile(r"(.*\D)\s+(\d+\s+\d+\s+\d+)")
_HEX = re.compile(r"#?([0-9A-Fa-f]{6})")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One class: its name, and the value and colour that mean it, where they are told."""

    name: str
    value: int | None = None
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Classes in order.

    Attributes:
        source: the file's name, or the recipe's key.
        rows: one a class.
    """

    source: str
    rows: tuple[TableRow, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The value of each class: the told one, or its place from 0."""
        return tuple(place if row.value is None else row.value for place, row in enumerate(self.rows))

    @property
    def colours(self) -> tuple[Colour, ...]:
        """The colour of each class; empty unless all have one."""
        told = tuple(row.colour for row in self.rows if row.colour is not None)
        return told if len(told) == len(self.rows) else ()


def tables_beside(files: Iterable[Path]) -> list[ClassTable]:
    """The tables that lie in the folder of all these files, or above it where it is called like a split.

    Files that have a table's name but are none (two rows at least, no name twice) are passed over.
    """
    folder = Path(os.path.commonpath([file.absolute().parent for file in files]))
    places = [folder, folder.parent] if split_of_word(folder.name) else [folder]
    found = [file for place in places for file in sorted(place.iterdir()) if file.suffix.lower() in _SUFFIXES]
    named = [file for name in _NAMES for file in found if _plain(file.stem) == name]
    return [table for file in named if (table := _table_or_none(file)) is not None]


def read_table(file: Path) -> ClassTable:
    """A table in any of the forms above.

    Raises:
        UserError: there is no such file, or it is no table of two or more classes.
    """
    remedy = "Write one line for each class: its name, or name,value, or name,r,g,b."
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise UserError(f"masks.classes: {file} is too big for a table of classes", remedy)
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"masks.classes: {file} is not UTF-8 text", remedy) from error
    except OSError as error:
        raise UserError(
            f"masks.classes: {file} cannot be read: {error.strerror}", "Name the classes, or a file with them."
        ) from error
    rows = _rows_of_json(text) if file.suffix.lower() == ".json" else _rows_of_lines(text)
    names = [row.name for row in rows]
    if len(rows) < 2 or len(set(names)) < len(names):
        twice = next((name for name in names if names.count(name) > 1), "")
        fault = f"names '{twice}' twice" if twice else "is no table of two or more classes"
        raise UserError(f"masks.classes: {file} {fault}", remedy)
    return ClassTable(file.name, tuple(rows))


def parse_colour(text: str) -> Colour | None:
    """A colour written as "60,16,152", "60 16 152" or "#3c1098"; None if it is none.

    >>> parse_colour("#3c1098"), parse_colour("60, 16, 152"), parse_colour("300,0,0")
    ((60, 16, 152), (60, 16, 152), None)
    """
    if match := _HEX.fullmatch(text.strip()):
        return _colour(bytes.fromhex(match[1]))
    parts = re.split(r"[,\s]+", text.strip())
    return _colour([int(part) for part in parts]) if all(part.isdecimal() for part in parts) else None


def _table_or_none(file: Path) -> ClassTable | None:
    try:
        return read_table(file)
    except UserError:
        return None


def _plain(stem: str) -> str:
    return re.sub(r"[^a-z]", "", stem.lower())


def _rows_of_json(text: str) -> list[TableRow]:
    try:
        told = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return []
    classes = told.get("classes") if isinstance(told, dict) else told
    return [row for entry in classes if (row := _row_of_json(entry))] if isinstance(classes, list) else []


def _row_of_json(entry: Any) -> TableRow | None:
    if not isinstance(entry, dict):
        return None
    name, colour = entry.get("title", entry.get("name")), entry.get("color", entry.get("colour"))
    if not isinstance(name, str):
        return None
    return TableRow(name.strip(), colour=parse_colour(colour) if isinstance(colour, str) else None)


def _rows_of_lines(text: str) -> list[TableRow]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _is_comment(line.strip())]
    if lines and {re.sub(r"[ _-]", "", cell).lower() for cell in _CELLS.split(lines[0])} <= _HEADER:
        lines = lines[1:]
    return [row for line in lines if (row := _row_of_line(line))]


def _is_comment(line: str) -> bool:
    return line.startswith("#") and parse_colour(_CELLS.split(line)[0]) is None


def _row_of_line(line: str) -> TableRow | None:
    numbers: list[int] = []
    words: list[str] = []
    for cell in _CELLS.split(line):
        _sort_cell(cell.strip(), numbers, words)
    name = " ".join(words)
    if not name:
        return None
    match len(numbers):
        case 0:
            return TableRow(name)
        case 1:
            return TableRow(name, value=numbers[0])
        case 3:
            return TableRow(name, colour=_colour(numbers))
        case 4:
            return TableRow(name, value=numbers[0], colour=_colour(numbers[1:]))
    return TableRow(line)


def _sort_cell(cell: str, numbers: list[int], words: list[str]) -> None:
    """Put the numbers of a cell to the numbers and its words to the words."""
    if match := _NUMBERS_FIRST.fullmatch(cell):
        numbers += map(int, match[1].split())
        words.append(match[2])
    elif match := _COLOUR_LAST.fullmatch(cell):
        words.append(match[1].strip())
        numbers += map(int, match[2].split())
    elif cell and all(part.isdecimal() for part in cell.split()):
        numbers += map(int, cell.split())
    elif cell.startswith("#") and (colour := parse_colour(cell)):
        numbers += colour
    elif cell:
        words.append(cell)


def _colour(parts: Sequence[int]) -> Colour | None:
    if len(parts) != 3 or any(part > 255 for part in parts):
        return None
    red, green, blue = parts
    return red, green, blue
