"""The lecture's example by hand; random graphs against autograd and finite differences."""

import math

import pytest
import torch

from convolve.errors import UserError
from convolve.see.graph.computation import computation_graph


def test_the_lectures_example_has_its_hand_worked_values():
    graph = computation_graph(lambda a, b: (a + b) * (b + 1), {"a": 2.0, "b": 1.0})
    assert {node.name: (node.text, node.value, node.total) for node in graph.nodes} == {
        "a": ("", 2, 2),
        "b": ("", 1, 5),
        "c": ("a + b", 3, 2),
        "d": ("b + 1", 2, 3),
        "e": ("c * d", 6, 1),
    }
    assert {(edge.source, edge.target): edge.weight for edge in graph.edges} == {
        ("a", "c"): 1,
        ("b", "c"): 1,
        ("b", "d"): 1,
        ("c", "e"): 2,
        ("d", "e"): 3,
    }


def test_a_value_that_is_taken_twice_has_two_edges():
    graph = computation_graph(lambda a: a * a, {"a": 3.0})
    assert [(edge.source, edge.target, edge.weight) for edge in graph.edges] == [("a", "b", 3), ("a", "b", 3)]
    assert graph["a"].total == 6


def test_operands_keep_their_order():
    graph = computation_graph(lambda a: 1 - a / 4 + 2**a, {"a": 1.0})
    assert [node.text for node in graph.nodes[1:]] == ["a / 4", "1 - b", "2 ** a", "c + d"]
    assert graph["a"].total == pytest.approx(-0.25 + 2 * math.log(2))


def test_named_results_name_their_nodes_and_the_last_is_the_output():
    def neuron(w, x):
        z = w * x
        return {"z": z, "y": torch.tanh(z)}

    graph = computation_graph(neuron, {"w": 0.5, "x": 2.0})
    assert graph.output == "y"
    assert graph["z"].total == pytest.approx(1 - math.tanh(1) ** 2)
    assert graph["w"].total == pytest.approx(2 * (1 - math.tanh(1) ** 2))


def test_of_tensors_it_shows_norms_of_values_gradients_and_jacobians():
    weights, image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([3.0, 4.0])
    graph = computation_graph(lambda w, x: (w @ x).sum(), {"w": weights, "x": image})
    assert graph["a"].shape == (2,)
    assert graph["a"].value == pytest.approx(math.hypot(11, 25))
    # d(sum)/dx = column sums of w; dsum/dw has a row x for each output.
    assert graph["x"].total == pytest.approx(math.hypot(4, 6))
    assert graph["w"].total == pytest.approx(math.sqrt(2) * 5)
    weight = {(edge.source, edge.target): edge.weight for edge in graph.edges}
    assert weight["x", "a"] == pytest.approx(math.sqrt(1 + 4 + 9 + 16))
    assert weight["w", "a"] == pytest.approx(math.sqrt(2) * 5)
    assert not graph.of_numbers


def test_a_networks_loss_is_a_graph():
    layer = torch.nn.Linear(3, 2, dtype=torch.float64)

    def loss(x):
        return torch.nn.functional.cross_entropy(layer(x)[None], torch.tensor([1]))

    point = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    graph = computation_graph(loss, {"x": point})
    step = 1e-5
    with torch.no_grad():
        slopes = [
            float(loss(point + step * unit) - loss(point - step * unit)) / (2 * step)
            for unit in torch.eye(3, dtype=torch.float64)
        ]
    assert graph["x"].total == pytest.approx(math.hypot(*slopes), rel=1e-6)
    assert graph.nodes[-1].text.startswith("cross_entropy(")


def test_each_part_of_a_split_is_a_node():
    graph = computation_graph(lambda a: torch.prod(torch.stack(a.unbind())), {"a": torch.tensor([2.0, 5.0])})
    assert [node.value for node in graph.nodes if node.text == "unbind(a)"] == [2, 5]
    assert graph["a"].total == pytest.approx(math.hypot(5, 2))


def test_what_is_detached_is_a_constant():
    graph = computation_graph(lambda a: a * a.detach(), {"a": 3.0})
    assert graph["a"].total == 3
    assert len(graph.edges) == 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda a: a.expand(2) * 1, r"shape \(2,\), not one number"),
        (lambda a: a.detach() + 1, "does not depend on any input"),
        (lambda a: (a * 1).add_(1), "in place"),
        (lambda a: torch.sqrt(a - 2), "derivative of c = sqrt.b. by b is infinite at b = 0"),
        (lambda a: 3.0, "float, not one number"),
    ],
)
def test_what_has_no_graph_says_why(function, words):
    with pytest.raises(UserError, match=words):
        computation_graph(function, {"a": 2.0})


def test_jacobians_that_are_too_large_are_refused():
    with pytest.raises(UserError, match="Jacobian"):
        computation_graph(lambda a: (a * 2).sum(), {"a": torch.ones(2000)})
