"""Classes of masks whose values are colours."""

from convolve.data.masks import diagnosis
from convolve.data.masks.class_tables import ClassTable
from convolve.data.masks.declaration import Declaration
from convolve.data.masks.scan import Census
from convolve.data.masks.values import hexadecimal, pack_colour
from convolve.errors import UserError, shown

EXPLAINED = 0.5
"""A table that has the colours of a smaller share of the pixels is not theirs."""

_MOST_COLOURS = 64
_RARE = 1e-4
_LEFT_OVER = 0.05


def colour_classes(census: Census, table: ClassTable | None, where: str) -> Declaration:
    """A class for each colour of the table, or for each colour that is not rare."""
    if table is None:
        return _unnamed_colours(census, where)
    if not table.colours:
        found = ", ".join(f'"{hexadecimal(colour)}"' for colour, _ in census.colours.most_common(len(table.rows)))
        raise UserError(
            f"{where}: the masks are colours, and {table.source} has names without colours",
            f"Give them in the classes' order: masks.values=[...]. The most frequent ones are {found}",
        )
    if len(set(table.colours)) < len(table.colours):
        raise UserError(f"{table.source} gives one colour to two classes", "Give each class a colour of its own.")
    explained = explained_by_colours(census, table)
    if explained < EXPLAINED:
        found = shown(hexadecimal(colour) for colour, _ in census.colours.most_common(6))
        raise UserError(
            f"{where}: only {explained:.1%} of the masks' pixels have a colour of {table.source}",
            f"The most frequent colours are {found}: set masks.values, or another file in masks.classes.",
        )
    names = tuple(row.name for row in table.rows)
    return Declaration("colour", names, tuple((pack_colour(colour),) for colour in table.colours))


def _unnamed_colours(census: Census, where: str) -> Declaration:
    frequent = sorted(colour for colour, pixels in census.colours.items() if pixels >= _RARE * census.pixels)
    left_over = 1 - sum(census.colours[colour] for colour in frequent) / census.pixels
    if len(frequent) > _MOST_COLOURS or left_over > _LEFT_OVER:
        most = shown((hexadecimal(colour) for colour, _ in census.colours.most_common(6)), at_most=6)
        raise UserError(
            f"{where}: the masks hold {len(census.colours):,} colours or more: no class for each (JPEG? soft edges?)",
            f"Name those that count: masks.classes=[...] masks.values=[...]. The most frequent ones are {most}",
        )
    if len(frequent) < 2:
        raise diagnosis.nothing_to_tell_apart(
            where, f"the masks hold only the colour {shown(map(hexadecimal, frequent))}"
        )
    names = tuple(map(hexadecimal, frequent))
    values = ", ".join(f'"{name}"' for name in names[:9])
    note = (
        f"no table of classes: each of {len(names)} colours is a class; masks.classes=[...] with masks.values=[{values}"
        f"{', ...' if len(names) > 9 else ''}] names them"
    )
    return Declaration("colour", names, tuple((colour,) for colour in frequent), notes=(note,))


def explained_by_colours(census: Census, table: ClassTable) -> float:
    """The share of pixels whose colour the table has."""
    return sum(census.colours[pack_colour(colour)] for colour in table.colours) / census.pixels
