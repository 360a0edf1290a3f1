"""Where the boxes of a graph stand: in rows that are no wider than a telephone, what is computed below what it uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise

ROW = 366.0
"""Width in pixels that boxes side by side may take."""
_GAP, _WIDEST_GAP, _LANE, _SWEEPS = 12.0, 70.0, 14.0, 12


@dataclass(frozen=True)
class Layout:
    """A graph's places.

    Attributes:
        centres: x in pixels and number of the row, of every box.
        routes: for each link, x and row of its start, of every row that it passes, and of its end.
        rows: how many.
    """

    centres: Mapping[str, tuple[float, int]]
    routes: tuple[tuple[tuple[float, int], ...], ...]
    rows: int


def lay_out(widths: Mapping[str, float], links: Sequence[tuple[str, str]]) -> Layout:
    """Place boxes in rows.

    Args:
        widths: of each box in pixels, by name.
        links: pairs of names, from what is used to what uses it; without cycles.
    """
    rows = _rows(widths, links)
    slots, chains = _with_lanes(rows, links)
    sizes = {name: widths.get(name, _LANE) for row in slots for name in row}
    steps = [pair for chain in chains for pair in pairwise(chain)]
    _untangle(slots, steps)
    places = _places(slots, sizes, steps)
    number = {name: row for row, names in enumerate(slots) for name in names}
    return Layout(
        centres={name: (places[name], number[name]) for name in widths},
        routes=tuple(tuple((places[name], number[name]) for name in chain) for chain in chains),
        rows=len(slots),
    )


def _rows(widths: Mapping[str, float], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """A row for each box, below all it uses, where there is room."""
    before: dict[str, set[str]] = {name: set() for name in widths}
    for source, target in links:
        before[target].add(source)
    taken: dict[int, float] = {}
    rows: dict[str, int] = {}

    def settle(name: str, row: int, step: int) -> None:
        while taken.get(row, 0.0) and taken[row] + _GAP + widths[name] > ROW:
            row += step
        taken[row] = taken.get(row, -_GAP) + _GAP + widths[name]
        rows[name] = row

    order = list(TopologicalSorter(before).static_order())
    for name in order:
        if before[name]:
            settle(name, 1 + max((rows[source] for source in before[name] if source in rows), default=0), 1)
    # What is given stands right above what uses it first, so that lines stay short.
    for name in order:
        if not before[name]:
            uses = [rows[target] for source, target in links if source == name]
            settle(name, min(uses, default=1) - 1, -1)
    first = min(rows.values())
    return {name: row - first for name, row in rows.items()}


def _with_lanes(
    rows: Mapping[str, int], links: Sequence[tuple[str, str]]
) -> tuple[list[list[str]], list[tuple[str, ...]]]:
    """The names in each row, with one for every row that a link passes; and each link as a chain of names."""
    slots: list[list[str]] = [[] for _ in range(max(rows.values()) + 1)]
    for name, row in rows.items():
        slots[row].append(name)
    chains = []
    for number, (source, target) in enumerate(links):
        # No box is called so: names have no space in front.
        lanes = [f" {number}.{row}" for row in range(rows[source] + 1, rows[target])]
        for lane, row in zip(lanes, range(rows[source] + 1, rows[target]), strict=True):
            slots[row].append(lane)
        chains.append((source, *lanes, target))
    return slots, chains


def _untangle(slots: list[list[str]], steps: Sequence[tuple[str, str]]) -> None:
    """Order every row by the mean place of its neighbours, down and up several times (Sugiyama et al., 1981)."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for source, target in steps:
        above.setdefault(target, []).append(source)
        below.setdefault(source, []).append(target)
    for sweep in range(_SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in slots if sweep % 2 == 0 else reversed(slots):
            place = {name: number / len(names) for names in slots for number, name in enumerate(names)}
            row.sort(key=lambda name: _mean([place[other] for other in near.get(name, ())], place[name]))


def _places(
    slots: Sequence[Sequence[str]], sizes: Mapping[str, float], steps: Sequence[tuple[str, str]]
) -> dict[str, float]:
    """The x of every name: as near to its neighbours as the others of its row allow."""
    near: dict[str, list[str]] = {}
    for source, target in steps:
        near.setdefault(source, []).append(target)
        near.setdefault(target, []).append(source)
    width = max(ROW, *(sum(sizes[name] + _GAP for name in row) - _GAP for row in slots))
    places = {name: width * (number + 0.5) / len(row) for row in slots for number, name in enumerate(row)}
    for sweep in range(_SWEEPS):
        for row in slots if sweep % 2 == 0 else reversed(slots):
            wished = [_mean([places[other] for other in near.get(name, ())], places[name]) for name in row]
            places.update(zip(row, _apart(wished, [sizes[name] for name in row], width), strict=True))
    return places


def _apart(wished: Sequence[float], sizes: Sequence[float], width: float) -> list[float]:
    """Centres near the wished ones, in their order, without overlap, between 0 and width."""
    room = (width - sum(sizes)) / max(len(sizes) - 1, 1)
    gap = min(max(room, _GAP), _WIDEST_GAP)
    needed = [(one + two) / 2 + gap for one, two in pairwise(sizes)]
    from_left: list[float] = []
    from_right: list[float] = []
    for number, wish in enumerate(wished):
        least = sizes[number] / 2 if number == 0 else from_left[-1] + needed[number - 1]
        from_left.append(max(wish, least))
    for number in reversed(range(len(wished))):
        most = width - sizes[number] / 2 if number == len(wished) - 1 else from_right[-1] - needed[number]
        from_right.append(min(wished[number], most))
    # The mean of two orders without overlap has none either; then both ends are pushed inside.
    centres = [(left + right) / 2 for left, right in zip(from_left, reversed(from_right), strict=True)]
    for number in reversed(range(len(centres))):
        most = width - sizes[number] / 2 if number == len(centres) - 1 else centres[number + 1] - needed[number]
        centres[number] = min(centres[number], most)
    for number in range(len(centres)):
        least = sizes[number] / 2 if number == 0 else centres[number - 1] + needed[number - 1]
        centres[number] = max(centres[number], least)
    return centres


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
