"""Computation graphs in plain letters."""

from collections.abc import Iterator, Sequence

from convolve.see.graph.computation import ComputationGraph, Node
from convolve.see.graph.notation import number_text
from convolve.see.graph.paths import (
    Edge,
    Operations,
    factored,
    path_operations,
    path_sum,
    product_formula,
    reverse_mode,
)

_MOST_PATHS_SHOWN = 12


def computation_text(graph: ComputationGraph) -> str:
    """The nodes with values and total derivatives, the edges with partial ones, and how paths add up to totals."""
    return "\n".join([*_nodes(graph), "", *_edges(graph), *_sums(graph)])


def paths_text(edges: Sequence[Edge], source: str, target: str) -> str:
    """The derivative as a sum over paths and factored, with the operations of both.

    Raises:
        UserError: there are too many paths to list, or one node is followed by two others.
    """
    summed, product = path_sum(edges, source, target), factored(edges, source, target)
    name = f"d{target}/d{source}"
    return "\n".join(
        [
            f"sum over {_several(len(summed.paths), 'path')}: {name} = {summed.formula}",
            f"  = {number_text(summed.value)}; {_work(summed.operations)}",
            f"factored: {name} = {product_formula(edges, source, target)}",
            f"  = {number_text(product.value)}; {_work(product.operations)}",
        ]
    )


def aligned(rows: Sequence[Sequence[str]], *, to_the_right: frozenset[int] = frozenset()) -> Iterator[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if column in to_the_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _nodes(graph: ComputationGraph) -> Iterator[str]:
    rows = [("node", "value", f"d{graph.output}/d(node)")]
    rows += [(_formula(node), _value(node), number_text(node.total)) for node in graph.nodes]
    yield from aligned(rows)
    if not graph.of_numbers:
        yield "(of tensors the shape and the Euclidean norm; of Jacobians the Frobenius norm)"


def _formula(node: Node) -> str:
    return f"{node.name} = {node.text}" if node.text else node.name


def _value(node: Node) -> str:
    shape = f"{'x'.join(map(str, node.shape))}, norm " if node.shape else ""
    return f"{shape}{number_text(node.value)}"


def _edges(graph: ComputationGraph) -> Iterator[str]:
    rows = [("edge", "partial derivative")]
    rows += [(f"{edge.source} -> {edge.target}", f"{edge.name} = {number_text(edge.weight)}") for edge in graph.edges]
    yield from aligned(rows)


def _sums(graph: ComputationGraph) -> Iterator[str]:
    """For every input its paths, then the walk back that has all of them; of numbers only, as norms do not multiply."""
    if not graph.of_numbers:
        return
    for node in graph.inputs:
        work = path_operations(graph.edges, node.name, graph.output)
        if work.visits:
            yield ""
            yield f"d{graph.output}/d{node.name} = {number_text(node.total)}: {_several(work.additions + 1, 'path')}"
            if work.additions < _MOST_PATHS_SHOWN:
                yield from _paths(graph, node)
            cheap = factored(graph.edges, node.name, graph.output).operations
            yield f"  sum over paths: {_work(work)}; factored: {_work(cheap)}"
    back = reverse_mode(graph.edges, graph.output)
    yield ""
    yield f"factored, one walk back for all inputs: {_work(back.operations)}"
    values = list(back.totals.values())[1:]
    yield from (f"  {step} = {number_text(value)}" for step, value in zip(back.steps, values, strict=True))


def _work(operations: Operations) -> str:
    return f"{_several(operations.multiplications, 'multiplication')}, {_several(operations.additions, 'addition')}"


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _paths(graph: ComputationGraph, node: Node) -> Iterator[str]:
    summed = path_sum(graph.edges, node.name, graph.output)
    rows = [
        (
            f"  {' -> '.join([node.name, *(edge.target for edge in path)])}",
            "·".join(f"({number})" if number.startswith("-") else number for number in _weights(path)),
            f"= {number_text(product)}",
        )
        for path, product in zip(summed.paths, summed.products, strict=True)
    ]
    yield from aligned(rows)


def _weights(path: Sequence[Edge]) -> list[str]:
    return [number_text(edge.weight) for edge in path]
