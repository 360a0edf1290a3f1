"""A table (CSV or TSV) with a row for each image."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np
from PIL import Image

from convolve.data.boxes.box_columns import has_box_columns
from convolve.data.dataset import ClassLabel, ClassLabels, Dataset, Sample, Target
from convolve.data.reading import READERS, MissingFile, is_clutter
from convolve.data.table_rows import (
    LABEL_COLUMNS,
    PATH_COLUMNS,
    TableRow,
    header_of,
    plain_name,
    read_rows,
    split_cells,
    wrong_rows,
)
from convolve.errors import UserError, shown

_SEPARATORS = re.compile(r"[;|]")
_ZERO_OR_ONE = {"0": False, "1": True, "0.0": False, "1.0": True}


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column holds what; `label` is None where each class has a column of zeros and ones."""

    path: int
    label: int | None
    split: int | None
    group: int | None
    classes: tuple[tuple[int, str], ...]


class Table:
    """A header `path,label[,split][,group]`, then a row for each image.

    Other names of the columns: image_path, image, file, filename; labels, class, classes. A label cell may hold several
    labels, separated by ";" or "|": then every image of the table may have several, and an empty cell means none.
    Without a label column, all columns that are left are classes, with 1 where an image carries it and 0 where not.
    Further columns next to a label column are not read.

    Paths start at the table's folder, with slashes or backslashes. Absolute ones, and ones that climb out by "..", are
    followed as well: the table is the user's own. The text is UTF-8, commas (in TSV: tabs) separate cells, or
    semicolons where the header has no comma.

    A folder is read as the table that it holds, if it holds just one with a column of paths. A table with columns of
    boxes is another reader's.
    """

    form = "table"
    layout = "CSV or TSV with the header path,label, beside its images"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether it is a CSV or TSV file with a column of paths, or a folder with one."""
        path = Path(source)
        return table_in(path) is not None if path.is_dir() else _is_table(path)

    def read(self, source: str) -> Dataset:
        """Classes are sorted, or in the order of their columns; an image's name is its path in the table.

        Raises:
            UserError: the table is not sound: its text, header, cells, labels, splits, or an image in two rows.
        """
        path = Path(source)
        table = table_in(path) or path
        header, rows = read_rows(table)
        columns = _columns(header, table)
        if not rows:
            raise UserError(f"{table.name}: there are no rows below the header", "Add a row for each image.")
        if wrong := [row for row in rows if not row.cells[columns.path]]:
            raise wrong_rows(wrong, table, "no path", "Name an image or delete the row.")
        names = [_name(row.cells[columns.path]) for row in rows]
        _check_no_image_twice(names, rows, table)
        classes, targets = _targets(columns, rows, table)
        splits = split_cells(columns.split, rows, table)
        samples, missing = [], []
        for name, row, target, split in zip(names, rows, targets, splits, strict=True):
            image = table.parent / name
            if not os.path.isfile(image):  # noqa: PTH113 Path.is_file raises where a name is too long
                missing.append(MissingFile(f"{table.name}, line {row.line}", _absence(image, table)))
                continue
            group = row.cells[columns.group] or None if columns.group is not None else None
            samples.append(Sample(name=name, image=image, target=target, split=split, group=group))
        return Dataset(
            name=path.resolve().name,
            form=self.form,
            classes=classes,
            samples=tuple(samples),
            problems=tuple(missing),
        )

    def write_example(self, folder: Path) -> str:
        """A table beside two classes of two 8 x 8 images each."""
        rows = ["path,label"]
        for number in range(4):
            Image.fromarray(np.full((8, 8), 50 * number, np.uint8)).save(folder / f"{number}.png")
            rows.append(f"{number}.png,{'dark' if number < 2 else 'light'}")
        table = folder / "labels.csv"
        table.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return str(table)


READERS.add("table", Table())


def table_in(folder: Path) -> Path | None:
    """The one table of images that lies in a folder, or None."""
    if not folder.is_dir():
        return None
    tables = [entry for entry in folder.iterdir() if not is_clutter(entry.name) and _is_table(entry)]
    return tables[0] if len(tables) == 1 else None


def _is_table(path: Path) -> bool:
    header = header_of(path)
    return any(name in PATH_COLUMNS for name in header) and not has_box_columns(header)


def _columns(header: Sequence[str], table: Path) -> _Columns:
    plain = [plain_name(name) for name in header]
    repeated = {name for name in plain if plain.count(name) > 1}
    if repeated:
        raise UserError(f"{table.name}, line 1: two columns called '{min(repeated)}'", "Give each its own name.")

    def column(names: Iterable[str]) -> int | None:
        found = [plain.index(name) for name in names if name in plain]
        if len(found) > 1:
            both = " and ".join(f"'{header[position]}'" for position in found[:2])
            raise UserError(f"{table.name}, line 1: columns {both} mean the same", "Rename the one not to be read.")
        return found[0] if found else None

    path, label = column(PATH_COLUMNS), column(LABEL_COLUMNS)
    if path is None:
        raise UserError(f"{table.name}, line 1: no column 'path'", f"The columns are {shown(header)}.")
    known = {"path": path, "label": label, "split": column(["split"]), "group": column(["group"])}
    left = [(position, name) for position, name in enumerate(header) if position not in known.values()]
    if label is None and not left:
        raise UserError(
            f"{table.name}, line 1: no column 'label'", "Add it, or a column of zeros and ones for each class."
        )
    return _Columns(path, label, known["split"], known["group"], tuple(left) if label is None else ())


def _name(cell: str) -> str:
    slashed = PureWindowsPath(cell).as_posix() if "\\" in cell else cell
    return os.path.normpath(slashed).replace(os.sep, "/")


def _check_no_image_twice(names: Sequence[str], rows: Sequence[TableRow], table: Path) -> None:
    first: dict[str, int] = {}
    for name, row in zip(names, rows, strict=True):
        earlier = first.setdefault(name, row.line)
        if earlier != row.line:
            again = len(names) - len(set(names))
            more = f" ({again:,} such rows in all)" if again > 1 else ""
            raise UserError(
                f"{table.name}, line {row.line}: image '{name}' is in line {earlier} already{more}",
                "Keep one row for each image; several labels go into one cell, separated by ';'.",
            )


def _targets(columns: _Columns, rows: Sequence[TableRow], table: Path) -> tuple[tuple[str, ...], list[Target]]:
    """The classes, and a target for each row."""
    label = columns.label
    if label is None:
        return _targets_of_columns(columns.classes, rows, table)
    parts = [[part.strip() for part in _SEPARATORS.split(row.cells[label]) if part.strip()] for row in rows]
    several = any(_SEPARATORS.search(row.cells[label]) for row in rows)
    if not several and (wrong := [row for row in rows if not row.cells[label]]):
        raise wrong_rows(wrong, table, "no label", "Name the image's class or delete the row.")
    classes = tuple(sorted({part for row_parts in parts for part in row_parts}))
    index = {name: number for number, name in enumerate(classes)}
    if several:
        return classes, [ClassLabels(tuple(sorted({index[part] for part in row_parts}))) for row_parts in parts]
    return classes, [ClassLabel(index[only]) for (only,) in parts]


def _targets_of_columns(
    class_columns: Sequence[tuple[int, str]], rows: Sequence[TableRow], table: Path
) -> tuple[tuple[str, ...], list[Target]]:
    for position, name in class_columns:
        if wrong := [row for row in rows if row.cells[position] not in _ZERO_OR_ONE]:
            raise wrong_rows(
                wrong,
                table,
                f"column '{name}' has '{wrong[0].cells[position]}', neither 0 nor 1",
                "Call the column of the classes 'label', or leave only columns of zeros and ones.",
            )
    targets: list[Target] = [
        ClassLabels(tuple(n for n, (position, _) in enumerate(class_columns) if _ZERO_OR_ONE[row.cells[position]]))
        for row in rows
    ]
    return tuple(name for _, name in class_columns), targets


def _absence(image: Path, table: Path) -> str:
    folder = os.path.relpath(image.parent, table.parent).replace(os.sep, "/")
    where = f"{table.parent.resolve().name if folder == '.' else folder}/"
    return f"image '{image.name}' is not in {where}"
