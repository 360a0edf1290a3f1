"""What the values of masks mean: as the recipe declares it, as a table beside them tells, or as they show it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from convolve.data.masks import diagnosis
from convolve.data.masks.class_tables import ClassTable
from convolve.data.masks.colours import EXPLAINED, colour_classes, explained_by_colours
from convolve.data.masks.declaration import Declaration
from convolve.data.masks.numbers import binary_classes, numbered_classes
from convolve.data.masks.options import MaskOptions, told_table
from convolve.data.masks.scan import Census


def declare(
    census: Census, options: MaskOptions, *, where: str, known: Sequence[str], beside: Sequence[ClassTable]
) -> Declaration:
    """What the values of these masks mean.

    Args:
        census: the values.
        options: what the user says of them.
        where: the data set's name, for messages.
        known: names of classes that the format itself tells; empty where it does not.
        beside: tables that lie beside the masks, the best first; one whose colours are those of less than half of the
            pixels is passed over.

    Raises:
        UserError: the values contradict what is said of them, or do not say enough; and the line that helps.
    """
    table = told_table(options, known)
    notes: list[str] = []
    if table is None:
        table, notes = _fitting(beside, census, options)
    match _kind(census, options, table):
        case "binary":
            declared = binary_classes(census, table, where)
        case "index":
            declared = numbered_classes(census, table, options, where)
        case "colour":
            declared = colour_classes(census, table, where)
    if len(declared.names) > diagnosis.MOST_CLASSES:
        raise diagnosis.too_many_values(where, len(declared.names), "classes")
    return replace(declared, notes=(*notes, *declared.notes))


def _fitting(tables: Sequence[ClassTable], census: Census, options: MaskOptions) -> tuple[ClassTable | None, list[str]]:
    """The first table that can be meant, and notes on those before it."""
    notes: list[str] = []
    for table in tables:
        if options.coding in ("index", "binary") or (census.grey and options.coding == "auto"):
            return table, notes
        explained = explained_by_colours(census, table)
        if explained >= EXPLAINED:
            return table, notes
        fault = f"its colours are those of {explained:.1%} of the pixels" if table.colours else "it has no colours"
        notes.append(f"{table.source} is passed over: {fault}")
    return None, notes


def _explained_by_numbers(census: Census, table: ClassTable) -> float:
    return sum(census.numbers[number] for number in table.numbers) / census.pixels


def _kind(census: Census, options: MaskOptions, table: ClassTable | None) -> Literal["index", "binary", "colour"]:
    if options.coding != "auto":
        return options.coding
    if options.values:
        return "index" if isinstance(options.values[0], int) else "colour"
    if not census.grey:
        return "colour"
    numbered = table is not None and any(row.value is not None for row in table.rows)
    if table is not None and table.colours and not numbered:
        by_colours = explained_by_colours(census, table)
        if by_colours >= EXPLAINED and by_colours > _explained_by_numbers(census, table):
            return "colour"
    few = table is None or len(table.rows) <= 2
    return "binary" if set(census.numbers) == {0, 255} and few and not numbered else "index"
