"""Computation graphs as SVG: boxes with values, arrows with partial derivatives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from convolve.errors import UserError
from convolve.see.graph.computation import ComputationGraph, Node
from convolve.see.graph.layout import Layout, lay_out
from convolve.see.graph.notation import number_text
from convolve.see.graph.paths import Edge
from convolve.see.report.svg import BLUE, GREY, ORANGE, label
from convolve.see.tour.drawing import INK, LINE

MOST_BOXES = 150
"""A graph with more can be written as text only."""

_MARGIN, _ROW_GAP, _LINE_HEIGHT, _PADDING = 10.0, 62.0, 16.0, 8.0
_FONT, _SMALL = 12, 11
_LONGEST = 22
# Where along an arrow its label may stand, best first.
_SPOTS = (0.5, 0.38, 0.62, 0.28, 0.72, 0.2, 0.8)

_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Card:
    """A box: its name, and its lines with their colours."""

    name: str
    lines: Sequence[tuple[str, str]]

    @property
    def width(self) -> float:
        return max(44.0, *(_text_width(text, _FONT) for text, _ in self.lines)) + 2 * _PADDING


def computation_svg(graph: ComputationGraph) -> Markup:
    """An <svg> element of a computation graph, inputs on top; readable at 390 pixels.

    Each box has the operation, in blue its value and in orange the derivative of the output by it; each arrow the
    partial derivative of the box at its tip by the one at its tail. Colours are the palette's, in styles:
    `convolve.see.tour.drawing.with_variables` makes them a page's, `standalone` a file.

    Raises:
        UserError: it has more than `MOST_BOXES` nodes.
    """
    cards = [_Card(node.name, list(_lines(node, graph))) for node in graph.nodes]
    words = ", ".join(f"{node.name} = {number_text(node.value)}" for node in graph.nodes)
    return _drawn(cards, graph.edges, f"Computation graph with {words}", [_edge_texts(graph, e) for e in graph.edges])


def multigraph_svg(edges: Sequence[Edge]) -> Markup:
    """An <svg> element of edges with names, as the nine-path example's; as `computation_svg`.

    Raises:
        UserError: it has more than `MOST_BOXES` nodes.
    """
    names = list(dict.fromkeys(name for edge in edges for name in (edge.source, edge.target)))
    texts = [(f"{edge.name} = {number_text(edge.weight)}", edge.name) for edge in edges]
    return _drawn([_Card(name, [(name, INK)]) for name in names], edges, "Graph of paths", texts)


def standalone(svg: Markup) -> str:
    """An <svg> element as a file of its own: on white ground, as it must not depend on the page it is shown in."""
    head, rest = str(svg).split(">", 1)
    ground = '<rect x="-10000" width="20000" height="100%" style="fill:#FFFFFF"/>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}>{ground}{rest}\n'


def svg_element(width: float, height: float, description: str, parts: Sequence[str], *, left: float = 0.0) -> Markup:
    """An <svg> element around its parts, never shown wider than it is, so that letters keep their size."""
    return Markup(  # noqa: S704 - every text in the parts was escaped
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(label(description, longest=400))}" '
        f'viewBox="{left:.0f} 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'style="max-width:100%;height:auto;font-family:system-ui,sans-serif">{"".join(parts)}</svg>'
    )


def svg_text(x: float, y: float, text: str, *, colour: str, size: int = _FONT, style: str = "") -> str:
    """A <text> element; y is its base line."""
    return f'<text x="{x:.1f}" y="{y:.1f}" style="fill:{colour};font-size:{size}px;{style}">{escape(text)}</text>'


def _lines(node: Node, graph: ComputationGraph) -> Iterator[tuple[str, str]]:
    yield label(f"{node.name} = {node.text}" if node.text else node.name, longest=_LONGEST), INK
    if node.shape:
        yield f"{'x'.join(map(str, node.shape))}, norm {number_text(node.value)}", BLUE
    else:
        yield number_text(node.value), BLUE
    if node.name != graph.output:
        norm = "norm of " if node.shape else ""
        yield f"{norm}d{graph.output}/d{node.name} = {number_text(node.total)}", ORANGE


def _edge_texts(graph: ComputationGraph, edge: Edge) -> tuple[str, str]:
    value = number_text(edge.weight)
    bars = graph[edge.source].shape or graph[edge.target].shape
    return (f"‖{edge.name}‖ = {value}" if bars else f"{edge.name} = {value}"), value


def _drawn(cards: Sequence[_Card], edges: Sequence[Edge], description: str, texts: Sequence[tuple[str, str]]) -> Markup:
    if len(cards) > MOST_BOXES:
        raise UserError(f"the graph has {len(cards)} nodes, and at most {MOST_BOXES} are drawn", "Print it as text.")
    layout = lay_out({card.name: card.width for card in cards}, [(edge.source, edge.target) for edge in edges])
    tall = max(len(card.lines) for card in cards) * _LINE_HEIGHT + _PADDING
    pitch = tall + _ROW_GAP
    boxes = [_box(card, layout, tall, pitch) for card in cards]
    curves = [_curve(route, bulge, tall, pitch) for route, bulge in zip(layout.routes, _bulges(edges), strict=True)]
    parts = [_arrow(curve) for curve in curves]
    pills, shown = _labels(curves, texts, boxes)
    parts += [_pill(pill, text) for pill, text in zip(pills, shown, strict=True)]
    for card, box in zip(cards, boxes, strict=True):
        parts += _card(card, box)
    reach = [x for box in [*boxes, *pills] for x in (box[0], box[2])]
    reach += [point[0] for curve in curves for piece in curve for point in (_point(piece, 0.3), _point(piece, 0.7))]
    left, right = min(reach) - _MARGIN, max(reach) + _MARGIN
    height = layout.rows * pitch - _ROW_GAP + 2 * _MARGIN
    return svg_element(right - left, height, description, parts, left=left)


def _box(card: _Card, layout: Layout, tall: float, pitch: float) -> _Box:
    x, row = layout.centres[card.name]
    top = _MARGIN + row * pitch
    return (_MARGIN + x - card.width / 2, top, _MARGIN + x + card.width / 2, top + tall)


def _card(card: _Card, box: _Box) -> Iterator[str]:
    left, top, right, bottom = box
    yield (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" rx="7" '
        f'style="fill:none;stroke:{GREY};stroke-width:1.2"/>'
    )
    first = (top + bottom - len(card.lines) * _LINE_HEIGHT) / 2 + _LINE_HEIGHT - 4
    for number, (text, colour) in enumerate(card.lines):
        style = "text-anchor:middle;font-weight:600" if number == 0 else "text-anchor:middle"
        yield svg_text((left + right) / 2, first + number * _LINE_HEIGHT, text, colour=colour, style=style)


def _bulges(edges: Sequence[Edge]) -> list[float]:
    """How far each edge swings out to the side, pixels, so that parallel ones do not lie on one another."""
    seen: dict[tuple[str, str], int] = {}
    totals: dict[tuple[str, str], int] = {}
    for edge in edges:
        totals[edge.source, edge.target] = totals.get((edge.source, edge.target), 0) + 1
    found = []
    for edge in edges:
        number = seen.setdefault((edge.source, edge.target), 0)
        seen[edge.source, edge.target] += 1
        found.append(110.0 * (number - (totals[edge.source, edge.target] - 1) / 2))
    return found


_Curve = list[tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]]


def _curve(route: Sequence[tuple[float, int]], bulge: float, tall: float, pitch: float) -> _Curve:
    """Pieces of a smooth line from the bottom of one box to the top of another, straight past the rows between."""
    pieces: _Curve = []
    for (x0, row0), (x1, row1) in pairwise(route):
        start = (_MARGIN + x0 + bulge * 0.15, _MARGIN + row0 * pitch + tall)
        end = (_MARGIN + x1 + bulge * 0.15, _MARGIN + row1 * pitch - 1)
        if pieces:
            before = pieces[-1][3]
            third = (start[1] - before[1]) / 3
            pieces.append((before, (before[0], before[1] + third), (start[0], start[1] - third), start))
        reach = (end[1] - start[1]) * 0.45
        control = ((start[0] + bulge, start[1] + reach), (end[0] + bulge, end[1] - reach))
        pieces.append((start, *control, end))
    return pieces


def _arrow(curve: _Curve) -> str:
    path = f"M{curve[0][0][0]:.1f} {curve[0][0][1]:.1f}" + "".join(
        f" C{a[0]:.1f} {a[1]:.1f} {b[0]:.1f} {b[1]:.1f} {end[0]:.1f} {end[1]:.1f}" for _, a, b, end in curve
    )
    x, y = curve[-1][3]
    # The tip points where the line comes from.
    dx, dy = x - curve[-1][2][0], y - curve[-1][2][1]
    length = max((dx * dx + dy * dy) ** 0.5, 1e-9)
    dx, dy = dx / length, dy / length
    back = (x - 8 * dx, y - 8 * dy)
    tip = (
        f"M{x:.1f} {y:.1f} L{back[0] - 3.5 * dy:.1f} {back[1] + 3.5 * dx:.1f} "
        f"L{back[0] + 3.5 * dy:.1f} {back[1] - 3.5 * dx:.1f} Z"
    )
    return f'<path d="{path}" style="fill:none;stroke:{GREY};stroke-width:1.3"/><path d="{tip}" style="fill:{GREY}"/>'


def _labels(
    curves: Sequence[_Curve], texts: Sequence[tuple[str, str]], boxes: Sequence[_Box]
) -> tuple[list[_Box], list[str]]:
    """Places and words of the labels of all arrows: in full if that fits without one on another, else short."""
    for choice in (0, 1):
        placed: list[_Box] = []
        words = [text[choice] for text in texts]
        fits = [_place(curve, word, boxes, placed) for curve, word in zip(curves, words, strict=True)]
        if all(fits):
            break
    return placed, words


def _place(curve: _Curve, text: str, boxes: Sequence[_Box], placed: list[_Box]) -> bool:
    """Add the label's place to those placed; returns whether it is free."""
    half = _text_width(text, _SMALL) / 2 + 4
    spots = [_point(piece, share) for piece in (curve[0], curve[-1]) for share in _SPOTS]
    candidates = [(x - half, y - 9, x + half, y + 9) for x, y in spots]
    free = [box for box in candidates if not any(_overlap(box, other) for other in (*boxes, *placed))]
    placed.append(free[0] if free else candidates[0])
    return bool(free)


def _pill(box: _Box, text: str) -> str:
    left, top, right, bottom = box
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" rx="8" '
        f'style="fill:{LINE}"/>'
    ) + svg_text((left + right) / 2, top + 13, text, colour=INK, size=_SMALL, style="text-anchor:middle")


def _point(piece: Sequence[tuple[float, float]], share: float) -> tuple[float, float]:
    """Of a cubic Bézier curve."""
    weights = ((1 - share) ** 3, 3 * share * (1 - share) ** 2, 3 * share**2 * (1 - share), share**3)
    x, y = (sum(weight * point[axis] for weight, point in zip(weights, piece, strict=True)) for axis in (0, 1))
    return x, y


def _overlap(one: _Box, two: _Box) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def _text_width(text: str, size: int) -> float:
    """An upper guess: a page's letters are seldom wider."""
    return 0.6 * size * len(text)
