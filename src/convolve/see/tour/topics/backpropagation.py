"""Back-propagation: the chain rule on a graph, summed over paths and factored."""

from collections.abc import Mapping
from typing import Any

from convolve.see.graph.drawing import computation_svg, multigraph_svg
from convolve.see.graph.expression import expression_graph
from convolve.see.graph.paths import (
    Operations,
    factored,
    nine_paths,
    path_operations,
    path_sum,
    product_formula,
    stages,
)
from convolve.see.graph.text import computation_text, paths_text
from convolve.see.report.svg import BLUE, ORANGE, new_axes
from convolve.see.tour.drawing import themed, tour_style, with_variables
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

_EXPRESSION, _VALUES = "c=a+b; d=b+1; e=c*d", {"a": 2.0, "b": 1.0}
_DEPTHS, _PARALLEL = tuple(range(1, 11)), 3


def _counts(operations: Operations) -> dict[str, int]:
    return {"multiplications": operations.multiplications, "additions": operations.additions}


def _numbers() -> dict[str, Any]:
    graph = expression_graph(_EXPRESSION, _VALUES)
    edges = nine_paths()
    summed, product = path_sum(edges, "X", "Z"), factored(edges, "X", "Z")
    chains = [stages(depth, _PARALLEL) for depth in _DEPTHS]
    return {
        "values": {node.name: node.value for node in graph.nodes},
        "derivatives": {node.name: node.total for node in graph.nodes},
        "partials": {f"d{edge.target}/d{edge.source}": edge.weight for edge in graph.edges},
        "nine_paths": {
            "weights": {edge.name: edge.weight for edge in edges},
            "products": list(summed.products),
            "formula_of_sum": summed.formula,
            "formula_factored": product_formula(edges, "X", "Z"),
            "sum_over_paths": summed.value,
            "factored": product.totals["X"],
            "operations_of_sum": _counts(summed.operations),
            "operations_of_factored": _counts(product.operations),
        },
        "growth": {
            "edges_a_stage": _PARALLEL,
            "depths": list(_DEPTHS),
            # One product a path, joined by additions.
            "paths": [
                path_operations(chain, "0", str(depth)).additions + 1
                for depth, chain in zip(_DEPTHS, chains, strict=True)
            ],
            "edge_visits": [
                factored(chain, "0", str(depth)).operations.visits for depth, chain in zip(_DEPTHS, chains, strict=True)
            ],
        },
    }


def _growth(numbers: Mapping[str, Any]) -> Figure:
    growth = numbers["growth"]
    with tour_style("tour-backpropagation-growth"):
        chart, axes = new_axes(3.8, 2.7)
        axes.semilogy(_DEPTHS, growth["paths"], "o-", color=ORANGE, markersize=4, label="paths, m^L")
        axes.semilogy(_DEPTHS, growth["edge_visits"], "s-", color=BLUE, markersize=4, label="edge visits, L·m")
        axes.set_yticks([1, 10, 100, 1000, 10_000, 100_000], labels=["1", "10", "100", "1,000", "10,000", "100,000"])
        axes.minorticks_off()
        axes.set(xlabel="stages L", xticks=_DEPTHS[1::2], ylabel="how many")
        axes.legend(loc="upper left")
        svg = themed(chart, "Paths and edge visits by the number of stages, logarithmic")
    return Figure(
        svg=svg,
        caption=f"With m = {_PARALLEL} edges a stage, {_DEPTHS[-1]} stages have {growth['paths'][-1]:,} paths but "
        f"{growth['edge_visits'][-1]} edges, each visited once.",
    )


def _table(numbers: Mapping[str, Any]) -> Table:
    nine = numbers["nine_paths"]
    summed, product = nine["operations_of_sum"], nine["operations_of_factored"]
    weights = ", ".join(f"{name} = {weight:g}" for name, weight in nine["weights"].items())
    return Table(
        columns=["dZ/dX", "sum over 9 paths", "factored"],
        rows=[
            ["formula", nine["formula_of_sum"], nine["formula_factored"]],
            ["value", f"{nine['sum_over_paths']:g}", f"{nine['factored']:g}"],
            ["multiplications", str(summed["multiplications"]), str(product["multiplications"])],
            ["additions", str(summed["additions"]), str(product["additions"])],
        ],
        caption=f"Nine products on one side, the factored form on the other: {weights}.",
    )


def compute(_seed: int) -> Section:
    """The two worked examples, and how work grows with depth."""
    numbers = _numbers()
    graph, edges = expression_graph(_EXPRESSION, _VALUES), nine_paths()
    derivatives = numbers["derivatives"]
    figures = [
        Figure(
            svg=with_variables(computation_svg(graph)),
            caption=f"e = (a + b)(b + 1) at a = 2, b = 1: e = {numbers['values']['e']:g}, "
            f"de/da = {derivatives['a']:g}, de/db = {derivatives['b']:g}; b acts by two paths, whose products add up.",
        ),
        Figure(
            svg=with_variables(multigraph_svg(edges)),
            caption="Three edges from X to Y and three from Y to Z make nine paths from X to Z.",
        ),
        _growth(numbers),
    ]
    text = f"{computation_text(graph)}\n\n{paths_text(edges, 'X', 'Z')}"
    return Section(figures=figures, tables=[_table(numbers)], numbers=numbers, text=text)


TOPICS.add(
    "backpropagation",
    Topic(
        name="backpropagation",
        order=70,
        title="Back-propagation",
        idea="Values flow forward through the graph of operations; derivatives flow back, each edge multiplying by its "
        "own partial derivative and each node adding up what arrives. That is the sum over all paths, factored: every "
        "edge is visited once, while the number of paths grows exponentially with depth.",
        code='convolve graph "e=(a+b)*(b+1)" a=2 b=1',
        source="Rumelhart, Hinton and Williams, Nature 323 (1986); Griewank and Walther, Evaluating Derivatives, 2008",
        compute=compute,
    ),
)
