"""The chain rule both ways: as a sum over paths, and factored, as reverse-mode differentiation has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from math import prod

from convolve.errors import UserError

MOST_PATHS = 10_000
"""More are counted, but not listed."""


@dataclass(frozen=True)
class Edge:
    """A dependence; several may run from one node to the same other.

    Attributes:
        source: the node that is used.
        target: the node that is computed from it.
        weight: the partial derivative of target by source along this edge.
        name: of that derivative, for example "∂c/∂a" or "α".
    """

    source: str
    target: str
    weight: float
    name: str


@dataclass(frozen=True)
class Operations:
    """How much arithmetic a way of computing takes.

    Attributes:
        multiplications: of two numbers; those by one, the derivative of the output by itself, are not counted.
        additions: of two numbers.
        visits: how often an edge's derivative is used.
    """

    multiplications: int
    additions: int
    visits: int


@dataclass(frozen=True, kw_only=True)
class PathSum:
    """The derivative as a sum of products, one a path.

    Attributes:
        paths: the edges of each, from source to target.
        products: of their weights, in the same order.
        value: the derivative.
        operations: what it takes.
    """

    paths: tuple[tuple[Edge, ...], ...]
    products: tuple[float, ...]
    value: float
    operations: Operations

    @property
    def formula(self) -> str:
        """The sum in the edges' names."""
        return " + ".join("·".join(edge.name for edge in path) for path in self.paths) or "0"


@dataclass(frozen=True, kw_only=True)
class ReverseMode:
    """Derivatives of one node by others, each worked out once from those of the nodes that follow it.

    Attributes:
        totals: derivative of the target by each node, by name, in the order of work: the target, 1, is first.
        steps: the formula of each total but the target's, in the same order.
        operations: what it takes.
    """

    totals: Mapping[str, float]
    steps: tuple[str, ...]
    operations: Operations


@dataclass(frozen=True, kw_only=True)
class Factored(ReverseMode):
    """The derivative of one node by one other, by way of the nodes between.

    Attributes:
        value: the derivative; 0 where the target does not depend on the source.
    """

    value: float


def path_sum(edges: Sequence[Edge], source: str, target: str) -> PathSum:
    """The derivative of target by source as the sum over all paths of the product of their weights.

    Raises:
        UserError: there are more than `MOST_PATHS` paths, or a cycle.
    """
    count, _ = _count_paths(edges, source, target)
    if count > MOST_PATHS:
        raise UserError(
            f"there are {count:,} paths from {source} to {target}, too many to list",
            "Take the factored form, whose work grows with the edges and not with the paths.",
        )
    paths = _walk(_leaving(_between(edges, source, target)), source, target)
    products = tuple(prod((edge.weight for edge in path), start=1.0) for path in paths)
    return PathSum(
        paths=paths, products=products, value=sum(products), operations=path_operations(edges, source, target)
    )


def path_operations(edges: Sequence[Edge], source: str, target: str) -> Operations:
    """What the sum over paths takes, without listing them: it grows with their number.

    Raises:
        UserError: there is a cycle.
    """
    count, lengths = _count_paths(edges, source, target)
    return Operations(multiplications=lengths - (count if lengths else 0), additions=max(count - 1, 0), visits=lengths)


def factored(edges: Sequence[Edge], source: str, target: str) -> Factored:
    """The derivative of target by source in one walk from target back: every edge between them is used once.

    Parallel edges are added before they are multiplied, which is the distributive law at work.

    Raises:
        UserError: there is a cycle.
    """
    walk = reverse_mode(_between(edges, source, target), target)
    return Factored(
        totals=walk.totals, steps=walk.steps, operations=walk.operations, value=walk.totals.get(source, 0.0)
    )


def reverse_mode(edges: Sequence[Edge], target: str) -> ReverseMode:
    """The derivatives of target by every node that it depends on, in one walk back.

    Raises:
        UserError: there is a cycle.
    """
    totals = {target: 1.0}
    steps, multiplications, additions, visits = [], 0, 0, 0
    leaving = _leaving(edges)
    for node in reversed(_order(edges)):
        by_next: dict[str, list[Edge]] = {}
        for edge in leaving.get(node, ()):
            if edge.target in totals:
                by_next.setdefault(edge.target, []).append(edge)
        if node == target or not by_next:
            continue
        totals[node] = sum(sum(edge.weight for edge in group) * totals[after] for after, group in by_next.items())
        used = sum(map(len, by_next.values()))
        multiplications += sum(after != target for after in by_next)
        additions += used - 1
        visits += used
        terms = [_term(group, after, target) for after, group in by_next.items()]
        steps.append(f"{_total_name(target, node)} = {' + '.join(terms)}")
    return ReverseMode(totals=totals, steps=tuple(steps), operations=Operations(multiplications, additions, visits))


def product_formula(edges: Sequence[Edge], source: str, target: str) -> str:
    """The factored form in one line, where the nodes between follow one another, as "(α + β + γ)(δ + ε + ζ)".

    Raises:
        UserError: some node has two that follow it: the form takes several lines, those of `factored`.
    """
    leaving = _leaving(_between(edges, source, target))
    node, groups = source, []
    while node != target and node in leaving:
        names = [edge.name for edge in leaving[node]]
        if len({edge.target for edge in leaving[node]}) > 1:
            raise UserError(f"two nodes follow {node}, so the factored form is no single product", "Take its steps.")
        groups.append(f"({' + '.join(names)})" if len(names) > 1 else names[0])
        node = leaving[node][0].target
    return "".join(groups) or "0"


def nine_paths(weights: Sequence[float] = (2.0, 3.0, 5.0, 7.0, 11.0, 13.0)) -> tuple[Edge, ...]:
    """X to Y by three edges, Y to Z by three: nine paths from X to Z.

    Args:
        weights: α, β, γ, δ, ε, ζ.
    """
    return tuple(
        Edge(source, target, weight, name)
        for name, weight, (source, target) in zip("αβγδεζ", weights, [("X", "Y")] * 3 + [("Y", "Z")] * 3, strict=True)
    )


def stages(count: int, parallel: int, *, weight: float = 1.0) -> tuple[Edge, ...]:
    """A chain of stages "0" to str(count), each with so many parallel edges.

    The sum over paths has parallel ** count terms; the factored form visits count * parallel edges.
    """
    return tuple(
        Edge(str(stage), str(stage + 1), weight, f"w{stage + 1}{chr(ord('a') + number % 26)}")
        for stage in range(count)
        for number in range(parallel)
    )


def _total_name(target: str, node: str) -> str:
    return f"d{target}/d{node}"


def _term(group: Sequence[Edge], after: str, target: str) -> str:
    names = " + ".join(edge.name for edge in group)
    if after == target:
        return names
    return f"{f'({names})' if len(group) > 1 else names}·{_total_name(target, after)}"


def _leaving(edges: Sequence[Edge]) -> dict[str, list[Edge]]:
    leaving: dict[str, list[Edge]] = {}
    for edge in edges:
        leaving.setdefault(edge.source, []).append(edge)
    return leaving


def _walk(leaving: Mapping[str, Sequence[Edge]], source: str, target: str) -> tuple[tuple[Edge, ...], ...]:
    """Every path; all edges lie on some path, so no step is in vain."""
    unfinished: list[tuple[Edge, ...]] = [()]
    finished = []
    while unfinished:
        path = unfinished.pop()
        node = path[-1].target if path else source
        if node == target:
            finished.append(path)
        else:
            unfinished.extend((*path, edge) for edge in reversed(leaving.get(node, ())))
    return tuple(finished)


def _count_paths(edges: Sequence[Edge], source: str, target: str) -> tuple[int, int]:
    """How many paths there are, and how many edges they have altogether."""
    between = _between(edges, source, target)
    counts, lengths = {source: 1}, {source: 0}
    arriving: dict[str, list[Edge]] = {}
    for edge in between:
        arriving.setdefault(edge.target, []).append(edge)
    for node in _order(between):
        for edge in arriving.get(node, ()):
            counts[node] = counts.get(node, 0) + counts[edge.source]
            lengths[node] = lengths.get(node, 0) + lengths[edge.source] + counts[edge.source]
    return counts.get(target, 0), lengths.get(target, 0)


def _between(edges: Sequence[Edge], source: str, target: str) -> list[Edge]:
    """The edges that lie on a path from source to target."""
    from_source, to_target = {source}, {target}
    ordered = _order(edges)
    leaving = _leaving(edges)
    for node in ordered:
        if node in from_source:
            from_source.update(edge.target for edge in leaving.get(node, ()))
    for node in reversed(ordered):
        if any(edge.target in to_target for edge in leaving.get(node, ())):
            to_target.add(node)
    return [edge for edge in edges if edge.source in from_source and edge.target in to_target]


def _order(edges: Sequence[Edge]) -> list[str]:
    """The nodes, each after those it depends on."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for edge in edges:
        sorter.add(edge.target, edge.source)
    try:
        return list(sorter.static_order())
    except CycleError as error:
        raise UserError(f"the graph has a cycle: {' -> '.join(error.args[1])}") from error
