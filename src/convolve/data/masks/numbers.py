"""Classes of masks whose values are numbers."""

from collections.abc import Sequence

from convolve.data.dataset import IGNORE
from convolve.data.masks import diagnosis
from convolve.data.masks.class_tables import ClassTable
from convolve.data.masks.declaration import Declaration, Values
from convolve.data.masks.options import MaskOptions
from convolve.data.masks.scan import Census
from convolve.errors import UserError, shown

_STRAY = 1e-3
_LIGHT = 128


def binary_classes(census: Census, table: ClassTable | None, where: str) -> Declaration:
    """Two classes: what is black (or dark, where there are shades up to white), and anything else."""
    names = tuple(row.name for row in table.rows) if table else ()
    if len(names) == 1:
        names = ("background", *names)
    if len(names) not in (0, 2):
        assert table is not None  # noqa: S101
        raise UserError(
            f"{where}: binary masks have two classes, and {table.source} names {len(names)}",
            'Name two: masks.classes=["background", "foreground"]',
        )
    if not census.grey:
        if census.rest:
            raise diagnosis.too_many_values(where, len(census.colours), "colours")
        others = tuple(sorted(colour for colour in census.colours if colour))
        return Declaration("colour", names or ("background", "foreground"), ((0,), others))
    present = sorted(census.numbers)
    if max(present) < _LIGHT:
        values: Values = ((0,), tuple(value for value in present if value != 0) or (1,))
    elif max(present) <= 255:
        values = (tuple(range(_LIGHT)), tuple(range(_LIGHT, 256)))
    else:
        half = max(present) // 2
        values = (tuple(v for v in present if v <= half), tuple(v for v in present if v > half))
    return Declaration("index", names or ("background", "foreground"), values)


def numbered_classes(census: Census, table: ClassTable | None, options: MaskOptions, where: str) -> Declaration:
    """A class for each number of the table, or for each number there is."""
    if not any(scan.grey for scan in census.scans):
        raise UserError(
            f"{where}: the masks hold colours, where masks.coding=index expects numbers", "Say masks.coding=colour"
        )
    if table is None:
        return _unnamed_numbers(census, options, where)
    names, source = [row.name for row in table.rows], table.source
    if all(row.value is None for row in table.rows):
        _check_numbers(census, names, source, where)
    if len(set(table.numbers)) < len(names):
        raise UserError(f"{source} gives one value to two classes", "Give each class a value of its own.")
    return Declaration("index", tuple(names), tuple((number,) for number in table.numbers), table.colours)


def _check_numbers(census: Census, names: Sequence[str], source: str, where: str) -> None:
    """Numbers that count from 0 must be among the names, but for a few stray ones."""
    numbers = set(census.numbers)
    if numbers == {0, 255}:
        raise diagnosis.black_and_white(where, names, source)
    beyond = [value for value in numbers if not 0 <= value < len(names) and value != IGNORE]
    if not beyond:
        return
    if diagnosis.has_soft_edges(census):
        raise diagnosis.soft_edges(census, where)
    one_based = min(numbers - {IGNORE}) == 1 and max(numbers - {IGNORE}) == len(names)
    if one_based or sum(census.numbers[value] for value in beyond) > _STRAY * census.pixels:
        raise diagnosis.beyond_names(census, where, names, source)


def _unnamed_numbers(census: Census, options: MaskOptions, where: str) -> Declaration:
    if set(census.numbers) == {0, 255}:
        raise diagnosis.black_and_white(where, (), "")
    if diagnosis.has_soft_edges(census):
        raise diagnosis.soft_edges(census, where)
    ignored = {IGNORE} if options.ignore == "auto" else {value for value in options.ignore if isinstance(value, int)}
    present = sorted(value for value in census.numbers if value not in ignored)
    if len(present) > diagnosis.MOST_CLASSES or census.rest:
        raise diagnosis.too_many_values(where, len(present), "values")
    if len(present) < 2:
        raise diagnosis.nothing_to_tell_apart(where, f"the masks hold only {shown(map(str, census.numbers))}")
    if 2 * len(present) >= present[-1] - present[0] + 1:
        present = [value for value in range(present[0], present[-1] + 1) if value not in ignored]
    names = tuple(f"class {value}" for value in present)
    note = f"no names are given for the values {shown(map(str, present), at_most=9)}: masks.classes=[...] names them"
    if len(present) <= present[-1] or present[0]:
        note += f" with masks.values=[{shown(map(str, present), at_most=9)}]"
    return Declaration("index", names, tuple((value,) for value in present), notes=(note,))
