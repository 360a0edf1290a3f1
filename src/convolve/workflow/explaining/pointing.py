"""What a command line points at, from its words."""

from collections.abc import Sequence
from typing import Any

from convolve.errors import UserError
from convolve.recipe.values import parse_assignment
from convolve.see.inside.instruments import INSTRUMENTS


def pixel_of(text: str | None) -> tuple[int, int] | None:
    """X and Y of "X,Y".

    >>> pixel_of("120,40")
    (120, 40)

    Raises:
        UserError: it is something else.
    """
    if text is None:
        return None
    numbers = _whole_numbers(text)
    if len(numbers) != 2:
        raise UserError(f"--pixel {text}: not X,Y", "Give two whole numbers, for example --pixel 120,40.")
    return numbers[0], numbers[1]


def region_of(text: str | None) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of "LEFT,TOP,RIGHT,BOTTOM".

    >>> region_of("10,20,60,80")
    (10, 20, 60, 80)

    Raises:
        UserError: it is something else, or has no area.
    """
    if text is None:
        return None
    numbers = _whole_numbers(text)
    if len(numbers) != 4 or numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
        raise UserError(
            f"--region {text}: not LEFT,TOP,RIGHT,BOTTOM",
            "Give four whole numbers, left below right and top below bottom, for example --region 10,20,60,80.",
        )
    return numbers[0], numbers[1], numbers[2], numbers[3]


def instrument_options(assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Options by instrument, from "INSTRUMENT.OPTION=VALUE"; the last one wins.

    >>> instrument_options(["occlusion.side=24"])
    {'occlusion': {'side': 24}}

    Raises:
        UserError: one is something else, or there is no such instrument.
    """
    options: dict[str, dict[str, Any]] = {}
    for text in assignments:
        path, value = parse_assignment(text)
        if len(path) != 2:
            raise UserError(f"--set {text}: not INSTRUMENT.OPTION=VALUE", "For example --set occlusion.side=24.")
        options.setdefault(INSTRUMENTS[path[0]].name, {})[path[1]] = value
    return options


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        return []
