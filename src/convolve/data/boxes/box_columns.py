"""Columns of tables that hold boxes: what they are called, and how their cells are read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from convolve.data.boxes.checking import Corners
from convolve.data.table_rows import LABEL_COLUMNS, PATH_COLUMNS, TableRow, plain_name, wrong_rows
from convolve.errors import UserError, shown

_CORNER_COLUMNS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
_IMAGE_COLUMNS = (*PATH_COLUMNS, "file_name", "image_name", "img")
_CLASS_COLUMNS = (*LABEL_COLUMNS, "class_name", "category", "name")
_WIDTH_COLUMNS = ("width", "image_width", "img_width")
_HEIGHT_COLUMNS = ("height", "image_height", "img_height")


@dataclass(frozen=True, slots=True)
class BoxColumns:
    """Which column holds what; None for a column that is not there."""

    image: int
    label: int
    corners: tuple[int, int, int, int]
    width: int | None
    height: int | None
    split: int | None


def has_box_columns(header: Sequence[str]) -> bool:
    """Whether columns of these names, in small letters, hold boxes: those of an image and of four corners."""
    return any(name in _IMAGE_COLUMNS for name in header) and _corner_names(header) is not None


def box_columns(header: Sequence[str], table: Path) -> BoxColumns:
    """The columns of a header that `has_box_columns`.

    Raises:
        UserError: there is no column of classes, or two columns mean the same.
    """
    plain = [plain_name(name) for name in header]
    corners = _corner_names(plain)
    assert corners is not None  # noqa: S101

    def column(names: Iterable[str]) -> int | None:
        found = [position for name in names for position, other in enumerate(plain) if other == name]
        if len(found) > 1:
            both = " and ".join(f"'{header[position]}'" for position in found[:2])
            raise UserError(f"{table.name}, line 1: columns {both} mean the same", "Rename the one not to be read.")
        return found[0] if found else None

    image, label = column(_IMAGE_COLUMNS), column(_CLASS_COLUMNS)
    assert image is not None  # noqa: S101
    if label is None:
        raise UserError(f"{table.name}, line 1: no column 'class'", f"The columns are {shown(header, at_most=10)}.")
    left, top, right, bottom = (plain.index(name) for name in corners)
    return BoxColumns(
        image,
        label,
        (left, top, right, bottom),
        width=column(_WIDTH_COLUMNS),
        height=column(_HEIGHT_COLUMNS),
        split=column(["split"]),
    )


def corner_cells(row: TableRow, columns: BoxColumns, table: Path) -> Corners | None:
    """The corners in a row; None in one without a class and corners, which says that its image shows no object.

    Raises:
        UserError: some cells are empty and others are not, or one is no number.
    """
    cells = [row.cells[position] for position in columns.corners]
    if not row.cells[columns.label] and not any(cells):
        return None
    if not row.cells[columns.label] or not all(cells):
        raise wrong_rows(
            [row], table, "a box without its class or a corner", "Fill all five cells; empty ones mean: no object here."
        )
    try:
        left, top, right, bottom = map(float, cells)
    except ValueError:
        raise wrong_rows([row], table, f"{', '.join(cells)} are not four numbers", "Mend the box.") from None
    return left, top, right, bottom


def size_cells(row: TableRow, columns: BoxColumns, table: Path) -> tuple[int, int] | None:
    """The image's width and height in a row, pixels; None where they are not told.

    Raises:
        UserError: one is no whole number.
    """
    if columns.width is None or columns.height is None:
        return None
    cells = row.cells[columns.width], row.cells[columns.height]
    if not any(cells):
        return None
    if not all(cell.removesuffix(".0").isdecimal() and len(cell) < 10 for cell in cells):
        raise wrong_rows([row], table, f"'{cells[0]}' x '{cells[1]}' is no image's size", "Write whole pixels.")
    return int(cells[0].removesuffix(".0")), int(cells[1].removesuffix(".0"))


def _corner_names(header: Sequence[str]) -> tuple[str, ...] | None:
    return next((names for names in _CORNER_COLUMNS if all(name in header for name in names)), None)
