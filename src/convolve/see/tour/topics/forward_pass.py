"""The forward pass: layer after layer, each a matrix product, a bias and an activation function."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Chart
from numpy.typing import NDArray
from torch import Tensor, nn

from convolve.see.report.svg import BLUE, GREY, ORANGE
from convolve.see.tour.drawing import GROUND, INK, WIDTH, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

UNITS = (784, 800, 800, 10)
_X = (1.0, 2.0)
# By hand: every sum stays a short number.
_WEIGHTS = (((1.0, 1.0), (-1.0, 0.5), (2.0, -0.5)), ((1.0, 2.0, -1.0), (0.5, -1.0, 1.0)))
_BIASES = ((0.0, -0.5, 1.0), (0.0, 0.5))


def perceptron(units: Sequence[int], *, device: str = "cpu") -> nn.Sequential:
    """A stack of linear layers with ReLU between them; the output are logits.

    Args:
        units: n_0, n_1 .. n_(L+1): inputs, hidden units of each of the L layers, outputs.
        device: "meta" to count without memory.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(units):
        layers += [nn.Linear(before, after, dtype=torch.float64, device=device), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def parameter_count(network: nn.Module) -> int:
    """Weights and biases."""
    return sum(parameter.numel() for parameter in network.parameters())


def by_loops(
    inputs: NDArray[np.float64], weights: Sequence[NDArray[np.float64]], biases: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The same forward pass by three loops: over layers, units and the units before.

    Args:
        inputs: (n_0,).
        weights: W(k), (n_k, n_(k-1)) each.
        biases: b(k), (n_k,) each.

    Returns:
        The logits, (n_(L+1),).
    """
    hidden = inputs
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        sums = bias.copy()
        for unit in range(len(bias)):
            for before in range(len(hidden)):
                sums[unit] += weight[unit, before] * hidden[before]
        hidden = sums if k == len(weights) - 1 else np.where(sums > 0, sums, 0)
    return hidden


def worked_example() -> nn.Sequential:
    """The network 2-3-2 of the figure."""
    network = perceptron((2, 3, 2))
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, weight, bias in zip(linear, _WEIGHTS, _BIASES, strict=True):
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.copy_(torch.tensor(bias))
    return network


def _numbers() -> dict[str, Any]:
    counted = perceptron(UNITS, device="meta")
    network, inputs = worked_example(), torch.tensor([_X], dtype=torch.float64)
    values: list[Tensor] = [inputs]
    for layer in network:
        values.append(layer(values[-1]).detach())
    logits = values[-1][0]
    looped = by_loops(np.array(_X), [np.array(w) for w in _WEIGHTS], [np.array(b) for b in _BIASES])
    return {
        "units": list(UNITS),
        "parameters_by_layer": [parameter_count(layer) for layer in counted if isinstance(layer, nn.Linear)],
        "parameters": parameter_count(counted),
        "x": list(_X),
        "a1": values[1][0].tolist(),
        "h1": values[2][0].tolist(),
        "a2": logits.tolist(),
        "probabilities": logits.softmax(0).tolist(),
        "difference_from_loops": float(np.abs(looped - logits.numpy()).max()),
    }


def _to_scale(numbers: dict[str, Any]) -> Figure:
    names = ("input", "hidden 1", "hidden 2", "output")
    with tour_style("tour-forward-scale"):
        chart = Chart(figsize=(WIDTH, 2.9), layout="constrained")
        axes = chart.subplots()
        for k, parameters in enumerate(numbers["parameters_by_layer"]):
            left, right = UNITS[k] / 2, UNITS[k + 1] / 2
            axes.fill([k, k + 1, k + 1, k], [left, right, -right, -left], color=BLUE, alpha=0.18, linewidth=0)
            axes.text(k + 0.5, 0, f"{parameters:,}", ha="center", va="center", color=INK)
        for k, (units, name) in enumerate(zip(UNITS, names, strict=True)):
            axes.plot([k, k], [-units / 2, units / 2], color=BLUE, linewidth=5, solid_capstyle="butt")
            axes.text(k, units / 2 + 25, f"{name}\n{units}", ha="center", va="bottom", fontsize=9.5)
        axes.set(xlim=(-0.4, 3.4), ylim=(-420, 600))
        axes.axis("off")
        svg = themed(chart, "A network of 784, 800, 800 and 10 units, drawn to scale")
    return Figure(
        svg=svg,
        caption=f"Layers as high as they have units; between them the parameters, n(k) · (n(k-1) + 1) each: "
        f"{numbers['parameters']:,} in all.",
    )


def _small(numbers: dict[str, Any]) -> Figure:
    columns = (numbers["x"], numbers["h1"], numbers["a2"])
    places = [[(k, (len(column) - 1) / 2 - i) for i in range(len(column))] for k, column in enumerate(columns)]
    with tour_style("tour-forward-small"):
        chart = Chart(figsize=(WIDTH, 3.3), layout="constrained")
        axes = chart.subplots()
        for k, weights in enumerate(_WEIGHTS):
            for i, row in enumerate(weights):
                for j, weight in enumerate(row):
                    (x0, y0), (x1, y1) = places[k][j], places[k + 1][i]
                    colour = BLUE if weight > 0 else ORANGE
                    axes.plot([x0, x1], [y0, y1], color=colour, linewidth=1 + abs(weight), alpha=0.45, zorder=1)
                    # Weights stand off the middle, where edges cross.
                    share = (0.2, 0.36)[j] if k == 0 else (0.62, 0.8)[i]
                    axes.text(
                        x0 + share * (x1 - x0), y0 + share * (y1 - y0), f"{weight:g}", ha="center", va="center",
                        fontsize=9,
                    )  # fmt: skip
        for column, spots in zip(columns, places, strict=True):
            for value, (x, y) in zip(column, spots, strict=True):
                axes.scatter([x], [y], s=620, facecolor=GROUND, edgecolor=GREY, zorder=3)
                axes.text(x, y, f"{value:g}", ha="center", va="center", zorder=4)
        for k, name in enumerate(("x", "h(1) = relu(a(1))", "logits a(2)")):
            axes.text(k, 1.5, name, ha="center", va="bottom")
        axes.set(xlim=(-0.35, 2.35), ylim=(-1.4, 1.8))
        axes.axis("off")
        svg = themed(chart, "A network of 2, 3 and 2 units with the value of each unit and each weight")
    return Figure(
        svg=svg,
        caption="Weights on the edges (orange: negative), values in the units; the biases are in the table.",
    )


def _row(values: Sequence[float]) -> str:
    return f"({', '.join(f'{value:.6g}' for value in values)})"


def compute(_seed: int) -> Section:
    """Parameter count; a forward pass that can be followed by hand."""
    numbers = _numbers()
    rows = [
        ["x", _row(numbers["x"])],
        ["b(1)", _row(_BIASES[0])],
        ["a(1) = b(1) + W(1) x", _row(numbers["a1"])],
        ["h(1) = relu(a(1))", _row(numbers["h1"])],
        ["b(2)", _row(_BIASES[1])],
        ["a(2) = b(2) + W(2) h(1)", _row(numbers["a2"])],
        ["softmax(a(2))", _row(numbers["probabilities"])],
        ["largest difference from three loops in NumPy", f"{numbers['difference_from_loops']:g}"],
    ]
    table = Table(columns=["step", "value"], rows=rows, caption="The small network, step by step.")
    return Section(figures=[_to_scale(numbers), _small(numbers)], tables=[table], numbers=numbers)


TOPICS.add(
    "forward-pass",
    Topic(
        name="forward-pass",
        order=40,
        title="The forward pass",
        idea="Each layer multiplies what the layer before gave by its weights, adds its biases and applies its "
        "activation function: h(k) = g(b(k) + W(k) h(k-1)). The last layer gives logits, which softmax turns into "
        "probabilities, or a number as it stands for regression.",
        code="from convolve.see.tour.topics.forward_pass import perceptron, parameter_count; "
        "print(parameter_count(perceptron((784, 800, 800, 10))))",
        source="Rumelhart, Hinton and Williams, Nature 323 (1986); the network: Hinton et al., arXiv:1207.0580",
        compute=compute,
    ),
)
