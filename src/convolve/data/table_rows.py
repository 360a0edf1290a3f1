"""Tables in CSV or TSV: their header and rows, as text, with the lines they stand on."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convolve.data.dataset import Split
from convolve.data.reading import split_of_word
from convolve.errors import UserError, shown

PATH_COLUMNS = ("path", "image_path", "image", "file", "filename")
"""What a column of images is called, in small letters."""

LABEL_COLUMNS = ("label", "labels", "class", "classes")
"""What a column of classes is called, in small letters."""

_SUFFIXES = {".csv", ".tsv"}
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the line it starts on, and its cells without surrounding blanks."""

    line: int
    cells: Sequence[str]


def header_of(path: Path) -> list[str]:
    """The names of a file's columns in small letters, from its first bytes; none if it is no CSV or TSV by its name."""
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        return []
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES).decode("utf-8-sig", errors="replace")
    line = io.StringIO(start, newline="").readline()
    try:
        return [plain_name(name) for name in next(csv.reader([line], delimiter=_delimiter(path, line)), [])]
    except csv.Error:
        return []


def _delimiter(path: Path, header: str) -> str:
    if path.suffix.lower() == ".tsv" or ("\t" in header and "," not in header):
        return "\t"
    return ";" if ";" in header and "," not in header else ","


def plain_name(name: str) -> str:
    """A column's name in small letters, without blanks around it."""
    return name.strip().casefold()


def read_rows(table: Path) -> tuple[list[str], list[TableRow]]:
    """The header and the rows that are not blank, each with as many cells as the header.

    Raises:
        UserError: it is not UTF-8 text, not CSV, or a row has more or fewer cells.
    """
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{table.name}, line {line}: not UTF-8 text", "Save the table as CSV in UTF-8.") from error
    lines = io.StringIO(text, newline="")
    delimiter = _delimiter(table, lines.readline())
    lines.seek(0)
    reader = csv.reader(lines, delimiter=delimiter)
    rows: list[TableRow] = []
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(TableRow(start, [cell.strip() for cell in cells]))
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{table.name}, line {start}: {error}", "Mend or delete the line.") from error
    if not rows:
        raise UserError(f"{table.name}: the table is empty", "Write a header, and a row for each image.")
    header, *body = rows
    width = len(header.cells)
    if wrong := [row for row in body if len(row.cells) != width]:
        raise wrong_rows(
            wrong,
            table,
            f"{len(wrong[0].cells)} cells, where the header has {width}",
            "Put a cell that holds a comma in double quotes.",
        )
    return list(header.cells), body


def wrong_rows(rows: Sequence[TableRow], table: Path, what: str, remedy: str) -> UserError:
    """The error for rows that are wrong in one way, of which the first is described."""
    lines = shown(str(row.line) for row in rows)
    others = f" ({len(rows):,} such rows in all: lines {lines})" if len(rows) > 1 else ""
    return UserError(f"{table.name}, line {rows[0].line}: {what}{others}", remedy)


def split_cells(split: int | None, rows: Sequence[TableRow], table: Path) -> list[Split | None]:
    """The split of each row; None where its cell is empty, or where there is no column.

    Raises:
        UserError: a cell holds another word.
    """
    if split is None:
        return [None] * len(rows)
    if wrong := [row for row in rows if row.cells[split] and split_of_word(row.cells[split]) is None]:
        raise wrong_rows(
            wrong,
            table,
            f"split '{wrong[0].cells[split]}' is none of train, validation and test",
            "Write one of these words, or leave the cell empty where convolve may choose.",
        )
    return [split_of_word(row.cells[split]) for row in rows]
