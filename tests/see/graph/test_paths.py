"""The nine-path example by hand; random multigraphs: paths, factored form and autograd agree."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convolve.errors import UserError
from convolve.see.graph.expression import expression_graph
from convolve.see.graph.paths import (
    Edge,
    Operations,
    factored,
    nine_paths,
    path_operations,
    path_sum,
    product_formula,
    reverse_mode,
    stages,
)


def test_nine_paths_take_nine_products_and_the_factored_form_one():
    edges = nine_paths((2, 3, 5, 7, 11, 13))
    summed, product = path_sum(edges, "X", "Z"), factored(edges, "X", "Z")
    assert summed.products == (14, 22, 26, 21, 33, 39, 35, 55, 65)
    assert summed.formula == "α·δ + α·ε + α·ζ + β·δ + β·ε + β·ζ + γ·δ + γ·ε + γ·ζ"  # noqa: RUF001
    assert summed.value == product.value == (2 + 3 + 5) * (7 + 11 + 13)
    assert (summed.operations.multiplications, summed.operations.additions) == (9, 8)
    assert (product.operations.multiplications, product.operations.additions) == (1, 4)
    assert product_formula(edges, "X", "Z") == "(α + β + γ)(δ + ε + ζ)"  # noqa: RUF001


@pytest.mark.parametrize(("count", "parallel"), [(1, 3), (2, 3), (5, 2), (40, 3)])
def test_paths_multiply_with_depth_and_edge_visits_add(count, parallel):
    edges = stages(count, parallel)
    paths = parallel**count
    assert path_operations(edges, "0", str(count)) == Operations(
        multiplications=paths * (count - 1), additions=paths - 1, visits=paths * count
    )
    assert factored(edges, "0", str(count)).operations.visits == count * parallel
    assert factored(edges, "0", str(count)).value == float(paths)


@st.composite
def multigraphs(draw):
    """Edges from earlier to later nodes, parallel ones among them; weights small whole numbers, so sums are exact."""
    nodes = draw(st.integers(2, 6))
    pairs = st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)).filter(lambda pair: pair[0] < pair[1])
    links = draw(st.lists(st.tuples(pairs, st.integers(-4, 4)), min_size=1, max_size=12))
    return nodes, [
        Edge(str(source), str(target), float(weight), f"e{number}")
        for number, ((source, target), weight) in enumerate(links)
    ]


@given(multigraphs())
def test_both_ways_give_autograds_derivative(graph):
    nodes, edges = graph
    start = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    values = [start]
    for node in range(1, nodes):
        arriving = [edge for edge in edges if edge.target == str(node)]
        values.append(sum((edge.weight * values[int(edge.source)] for edge in arriving), start=0 * start))
    (expected,) = torch.autograd.grad(values[-1], start)
    summed, product = path_sum(edges, "0", str(nodes - 1)), factored(edges, "0", str(nodes - 1))
    assert summed.value == product.value == float(expected)
    assert reverse_mode(edges, str(nodes - 1)).totals.get("0", 0.0) == float(expected)
    # Counted without listing and counted on the list.
    edges_used = sum(map(len, summed.paths))
    assert summed.operations.visits == edges_used
    assert summed.operations.multiplications == edges_used - len(summed.paths)
    assert product.operations.multiplications <= summed.operations.multiplications
    assert product.operations.additions <= summed.operations.additions


_TERMS = st.recursive(
    st.sampled_from(["a", "b", "c", "2", "0.5"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({''.join(parts)})"),
        st.tuples(st.sampled_from(["sin", "tanh", "sigmoid", "cos"]), inner).map(
            lambda parts: f"{parts[0]}({parts[1]})"
        ),
    ),
    max_leaves=8,
)


@given(_TERMS)
def test_in_a_random_expression_the_sum_over_paths_is_autograds_total(text):
    graph = expression_graph(f"(a + b * c) * {text}", {"a": 0.7, "b": -1.3, "c": 0.4})
    for node in graph.nodes:
        if node.name != graph.output:
            assert path_sum(graph.edges, node.name, graph.output).value == pytest.approx(
                node.total, abs=1e-12, rel=1e-9
            )
            assert factored(graph.edges, node.name, graph.output).value == pytest.approx(
                node.total, abs=1e-12, rel=1e-9
            )


def test_a_node_that_is_not_used_has_no_path():
    edges = [*nine_paths(), Edge("W", "Y", 1.0, "w"), Edge("X", "V", 1.0, "v")]
    assert path_sum(edges, "X", "Z").value == 310
    assert path_sum(edges, "V", "Z").value == factored(edges, "V", "Z").value == 0
    assert path_sum(edges, "V", "Z").operations == Operations(0, 0, 0)


def test_too_many_paths_are_counted_but_not_listed():
    with pytest.raises(UserError, match="59,049 paths from 0 to 10"):
        path_sum(stages(10, 3), "0", "10")


def test_a_cycle_is_told():
    with pytest.raises(UserError, match="cycle"):
        factored([Edge("a", "b", 1.0, "x"), Edge("b", "a", 1.0, "y")], "a", "b")


def test_a_branching_graph_has_no_single_product():
    edges = [Edge("a", "b", 1, "x"), Edge("a", "c", 1, "y"), Edge("b", "d", 1, "z"), Edge("c", "d", 1, "w")]
    with pytest.raises(UserError, match="two nodes follow a"):
        product_formula(edges, "a", "d")
    assert factored(edges, "a", "d").steps[-1] == "dd/da = x·dd/db + y·dd/dc"
