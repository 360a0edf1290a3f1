"""What a user says of masks, and the table of classes that comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from convolve.data.masks.class_tables import ClassTable, TableRow, parse_colour, read_table
from convolve.data.masks.values import Colour, hexadecimal, pack_colour
from convolve.errors import UserError


@dataclass(frozen=True, slots=True)
class MaskOptions:
    """The recipe's section `masks`: what the values of masks mean, where they do not say it themselves.

    Attributes:
        coding: index (a value is the number of its class), binary (black and anything else), colour.
        classes: names in order, or a file with them and their values or colours; auto is a file beside the masks.
        values: the value or colour ("60,16,152" or "#3c1098") of each class, in their order.
        ignore: values, colours or names of classes that count nowhere; auto is 255 and `IGNORED_NAMES`.
    """

    coding: Literal["auto", "index", "binary", "colour"] = "auto"
    classes: Sequence[str] | str = "auto"
    values: Sequence[int] | Sequence[str] = ()
    ignore: Sequence[int] | Sequence[str] | Literal["auto"] = "auto"


def told_table(options: MaskOptions, known: Sequence[str]) -> ClassTable | None:
    """The classes that the recipe or the format gives, with the values of `masks.values`; None where neither does.

    Args:
        options: what the user says.
        known: names that the format itself tells; empty where it does not.

    Raises:
        UserError: there is no such file, or classes and values do not fit each other.
    """
    values = _told_values(options.values)
    if isinstance(options.classes, str) and options.classes != "auto":
        table = read_table(Path(options.classes).expanduser())
    elif not isinstance(options.classes, str):
        table = ClassTable("masks.classes", tuple(TableRow(name) for name in options.classes))
    elif known:
        table = ClassTable("the data set", tuple(TableRow(name) for name in known))
    elif values:
        return ClassTable("masks.values", tuple(replace(row, name=_name_of(row)) for row in values))
    else:
        return None
    names = [row.name for row in table.rows]
    if not names:
        raise UserError("masks.classes names no class", "Name all classes in order, or a file with them, or say auto.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{table.source} names '{twice[0]}' twice", "Give each class a name of its own.")
    if not values:
        return table
    if len(values) != len(table.rows):
        raise UserError(
            f"masks.values has {len(values)} values, and {table.source} {len(table.rows)} classes",
            "Give one value or colour for each class, in the classes' order.",
        )
    rows = (replace(row, name=name) for row, name in zip(values, names, strict=True))
    return ClassTable(table.source, tuple(rows))


def _told_values(values: Sequence[int] | Sequence[str]) -> list[TableRow]:
    rows = []
    for value in values:
        if isinstance(value, int):
            rows.append(TableRow("", value=value))
        else:
            rows.append(TableRow("", colour=_parsed(value, "masks.values")))
    if len(set(rows)) < len(rows):
        raise UserError("masks.values has one value twice", "Give each class a value of its own.")
    if rows and any(row.value is not None and not 0 <= row.value <= 65535 for row in rows):
        raise UserError("masks.values has a number that no mask can hold", "Values go from 0 to 65535.")
    return rows


def _parsed(text: str, key: str) -> Colour:
    colour = parse_colour(text)
    if colour is None:
        raise UserError(f"{key}: '{text}' is no colour", 'Write colours as "60,16,152" or "#3c1098".')
    return colour


def _name_of(row: TableRow) -> str:
    return f"class {row.value}" if row.colour is None else hexadecimal(pack_colour(row.colour))
