"""A network's layers as a table and as a tall drawing: a line for each layer, with rails on the left for branches."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from convolve.see.graph.drawing import svg_element, svg_text
from convolve.see.graph.layers import LayerGraph, LayerNode
from convolve.see.graph.text import aligned
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, label
from convolve.see.tour.drawing import INK, PURPLE

WIDTH = 390.0
"""Pixels: a telephone's."""
_PITCH, _TOP, _LEFT, _LANE = 36.0, 22.0, 12.0, 11.0
# However many branches run side by side, their rails leave room for words.
_MOST_RAILS = 50.0
_RAIL_COLOURS = (GREY, BLUE, ORANGE, GREEN, PURPLE)
_MOST_SOURCES = 6
# So wide are the bold letters of 12 pixels, and the plain ones of 11, of the widest of the usual fonts.
_BOLD, _PLAIN = 7.7, 6.2


def layer_text(graph: LayerGraph) -> str:
    """The layers as a table of aligned lines, and the sums."""
    head = ("", "layer", "operation", "from", "output", "parameters", "multiply-adds", "field", "stride", "memory")
    rows = [head]
    for number, row in enumerate(graph.rows):
        # What follows the line above says nothing of it.
        source = "" if row.inputs in ((), (number - 1,)) else _sources(row.inputs)
        rows.append(
            (
                str(number),
                row.name,
                row.operation,
                source,
                _shape(row),
                f"{row.parameters:,}" if row.parameters else "",
                f"{row.multiply_adds:,}" if row.multiply_adds else "",
                _sides(row.receptive_field),
                _sides(row.stride),
                _bytes(row.memory) if row.memory else "",
            )
        )
    return "\n".join([*aligned(rows, to_the_right=frozenset({0, 4, 5, 6, 7, 8, 9})), "", *_sums(graph)])


def _sources(rows: Sequence[int]) -> str:
    """Of many, as of a densely connected layer, the first and the last few."""
    if len(rows) <= _MOST_SOURCES:
        return " + ".join(map(str, rows))
    return f"{rows[0]} + … + {rows[-2]} + {rows[-1]} ({len(rows)})"


def layer_svg(graph: LayerGraph) -> Markup:
    """An <svg> element: a dot for each layer from the image down, joined by rails; readable at 390 pixels.

    Colours are the palette's, in styles, as those of `convolve.see.graph.drawing.computation_svg`.
    """
    lanes = rail_lanes([row.inputs for row in graph.rows])
    lane = min(_LANE, _MOST_RAILS / max(1, *lanes))
    places = [_LEFT + lane * number for number in lanes]
    left = max(places) + 14
    titles, facts = int((WIDTH - left) / _BOLD), int((WIDTH - left) / _PLAIN)
    parts = [_rail(source, number, lanes, places) for number, row in enumerate(graph.rows) for source in row.inputs]
    for number, row in enumerate(graph.rows):
        y = _y(number)
        parts.append(f'<circle cx="{places[number]:.1f}" cy="{y}" r="4" style="fill:{_colour(lanes[number])}"/>')
        parts.append(svg_text(left, y, _title(row, titles), colour=INK, style="font-weight:600"))
        parts.append(svg_text(left, y + 14, label(_facts(row), longest=facts), colour=GREY, size=11))
    bottom = _y(len(graph.rows)) + 6
    lines = [*_sums(graph), "sees 7/2: a unit sees 7 pixels, units are 2 pixels apart", "m-adds: multiply-adds"]
    for number, line in enumerate(lines):
        parts.append(svg_text(_LEFT, bottom + 17 * number, line, colour=INK))
    height = bottom + 17 * len(lines)
    return svg_element(WIDTH, height, f"Network of {len(graph.rows) - 1} layers", parts)


def rail_lanes(inputs: Sequence[Sequence[int]]) -> list[int]:
    """For each row a lane of its own output, such that no rail to a later row runs through another row's dot.

    The rail of an output leaves its row in the row's lane and stays there until the last row that takes it.

    Args:
        inputs: of each row, the earlier rows that it takes.
    """
    last = list(range(len(inputs)))
    for number, sources in enumerate(inputs):
        for source in sources:
            last[source] = number
    lanes: list[int] = []
    for number in range(len(inputs)):
        # An output that this row is the last to take frees its lane for this row.
        taken = {lanes[other] for other in range(number) if last[other] > number}
        lanes.append(next(lane for lane in range(number + 1) if lane not in taken))
    return lanes


def _rail(source: int, number: int, lanes: Sequence[int], places: Sequence[float]) -> str:
    """Down in the source's lane, and over to the row's lane in the last step."""
    x0, x1 = places[source], places[number]
    turn, end = _y(number - 1), _y(number)
    bend = f" C{x0:.1f} {turn + _PITCH / 2} {x1:.1f} {end - _PITCH / 2} {x1:.1f} {end}"
    return (
        f'<path d="M{x0:.1f} {_y(source)} L{x0:.1f} {turn}{bend}" '
        f'style="fill:none;stroke:{_colour(lanes[source])};stroke-width:1.6"/>'
    )


def _y(number: int) -> float:
    return _TOP + _PITCH * number


def _colour(lane: int) -> str:
    return _RAIL_COLOURS[lane % len(_RAIL_COLOURS)]


def _title(row: LayerNode, longest: int) -> str:
    """Cut in front, where it is too long: the end of a name says which layer it is."""
    whole = "  ".join(filter(None, (row.name, row.operation)))
    return label(whole[::-1], longest=longest)[::-1]


def _facts(row: LayerNode) -> str:
    field = f"sees {_sides(row.receptive_field)}/{_sides(row.stride)}" if row.receptive_field else ""
    cost = f"{_short(row.parameters)} params" if row.parameters else ""
    work = f"{_short(row.multiply_adds)} m-adds" if row.multiply_adds else ""
    return " · ".join(filter(None, (_shape(row), cost, work, field)))


def _sums(graph: LayerGraph) -> Iterator[str]:
    unused = f" ({graph.unused_parameters:,} of them idle in test mode)" if graph.unused_parameters else ""
    yield f"{graph.parameters:,} parameters{unused}"
    yield f"{graph.multiply_adds:,} multiply-adds an image"
    yield f"{_bytes(graph.training_memory)} of outputs an image in training, all kept"
    yield f"{_bytes(graph.inference_memory)} at most at once when predicting"


def _shape(row: LayerNode) -> str:
    return "x".join(map(str, row.shape)) or "1"


def _sides(sides: tuple[int, int] | None) -> str:
    if sides is None:
        return ""
    return str(sides[0]) if sides[0] == sides[1] else f"{sides[0]}x{sides[1]}"


def _short(number: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


def _bytes(number: int) -> str:
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"
