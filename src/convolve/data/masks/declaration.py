"""Names and values of classes as they were found out, and what of them counts."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from convolve.data.dataset import IGNORE, MaskCoding
from convolve.data.masks.class_tables import parse_colour
from convolve.data.masks.options import MaskOptions
from convolve.data.masks.palette import class_colours
from convolve.data.masks.values import Colour, pack_colour, unpack_colour
from convolve.errors import UserError, nearest_name, shown

IGNORED_NAMES = frozenset(
    {"void", "unlabelled", "unlabeled", "ignore", "ignored", "unknown", "dont care", "don't care", "dontcare"}
)
"""Names, in small letters, of what is no class."""

Values: TypeAlias = tuple[tuple[int, ...], ...]
"""For each class the values that mean it: numbers, or colours as 0xRRGGBB."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What values mean, before ignored classes are left out.

    Attributes:
        kind: as in `MaskCoding`.
        names: of the classes.
        values: of each class.
        colours: of each class in pictures; empty where none are told.
        notes: what the user should know about how it came about.
    """

    kind: Literal["index", "colour"]
    names: tuple[str, ...]
    values: Values
    colours: tuple[Colour, ...] = ()
    notes: tuple[str, ...] = ()


def without_ignored(declared: Declaration, options: MaskOptions) -> tuple[tuple[str, ...], MaskCoding]:
    """The classes that count, and the coding with the others among what is ignored.

    Raises:
        UserError: `masks.ignore` names what is neither a class nor a value.
    """
    names, ignored = _ignored(declared, options)
    meaning: dict[int, tuple[int, ...]] = {}
    for row, (name, values) in enumerate(zip(declared.names, declared.values, strict=True)):
        left = () if name in names else tuple(value for value in values if value not in ignored)
        ignored += [value for value in values if value not in left and value not in ignored]
        if left:
            meaning[row] = left
    if declared.kind == "colour":
        colours = tuple(unpack_colour(values[0]) for values in meaning.values())
        as_colours = tuple(tuple(unpack_colour(value) for value in values) for values in meaning.values())
        coding = MaskCoding("colour", as_colours, tuple(unpack_colour(value) for value in ignored), colours)
    else:
        colours = tuple(declared.colours[row] for row in meaning) if declared.colours else class_colours(len(meaning))
        coding = MaskCoding("index", tuple(meaning.values()), tuple(ignored), colours)
    return tuple(declared.names[row] for row in meaning), coding


def _ignored(declared: Declaration, options: MaskOptions) -> tuple[set[str], list[int]]:
    """Names of classes, and values, that count nowhere."""
    if options.ignore == "auto":
        names = {name for name in declared.names if name.strip().lower().replace("_", " ") in IGNORED_NAMES}
        meaning = {value for values in declared.values for value in values}
        return names, [IGNORE] if declared.kind == "index" and IGNORE not in meaning else []
    names, values = set(), []
    for entry in options.ignore:
        if entry in declared.names:
            names.add(str(entry))
        else:
            values.append(_ignored_value(entry, declared))
    return names, values


def _ignored_value(entry: int | str, declared: Declaration) -> int:
    colour = parse_colour(entry) if isinstance(entry, str) else None
    if declared.kind == "colour" and colour is not None:
        return pack_colour(colour)
    if declared.kind == "index" and isinstance(entry, int) and 0 <= entry <= 65535:
        return entry
    wanted = "a colour" if declared.kind == "colour" else "a value"
    near = nearest_name(str(entry), declared.names)
    guess = f"Did you mean '{near}'? " if near else ""
    raise UserError(
        f"masks.ignore: '{entry}' is neither a class nor {wanted} of these masks",
        f"{guess}Classes: {shown(declared.names, at_most=9)}.",
    )
