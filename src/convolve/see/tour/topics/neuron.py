"""The neuron and its activation functions, with their derivatives."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Chart
from torch import Tensor

from convolve.randomness import torch_randomness
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, new_axes
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: Mapping[str, tuple[Activation, str, str]] = {
    "linear": (lambda a: a * 1.0, "a", "1"),
    "sigmoid": (torch.sigmoid, "1 / (1 + e^-a)", "g (1 - g)"),
    "tanh": (torch.tanh, "(e^2a - 1) / (e^2a + 1)", "1 - g²"),
    "ReLU": (torch.relu, "max(a, 0)", "1 if a > 0, else 0"),
}
"""Name to (function, its formula, its derivative's formula)."""

_DRAWN = 100_000


def scaled_tanh(a: Tensor) -> Tensor:
    """LeNet-5's squashing function 1.7159 tanh(2a/3), chosen so that f(1) = 1 and f(-1) = -1.

    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998),
    appendix A.
    """
    return 1.7159 * torch.tanh(2 * a / 3)


def value_and_slope(activation: Activation, at: Tensor) -> tuple[Tensor, Tensor]:
    """g(a) and g'(a) at each of the points (N,), the derivative by autograd."""
    points = at.clone().requires_grad_()
    values = activation(points)
    (slopes,) = torch.autograd.grad(values.sum(), points)
    return values.detach(), slopes


def neuron(inputs: Tensor, weights: Tensor, bias: float, activation: Activation) -> Tensor:
    """H = g(b + w . x) of the inputs (..., D) with weights (D,)."""
    return activation(inputs @ weights + bias)


def _numbers(seed: int) -> dict[str, Any]:
    points = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], dtype=torch.float64)
    fine = torch.linspace(-6, 6, 2401, dtype=torch.float64)
    with torch_randomness(seed, "tour", "neuron"):
        drawn = torch.randn(_DRAWN, dtype=torch.float64)
    inputs, weights = torch.tensor([1.0, 3.0]).double(), torch.tensor([2.0, -1.0]).double()
    tables = {name: value_and_slope(activation, points) for name, (activation, _, _) in ACTIVATIONS.items()}
    ends = scaled_tanh(torch.tensor([-1.0, 1.0], dtype=torch.float64))
    return {
        "points": points.tolist(),
        "values": {name: values.tolist() for name, (values, _) in tables.items()},
        "slopes": {name: slopes.tolist() for name, (_, slopes) in tables.items()},
        "largest_slope": {
            name: float(value_and_slope(activation, fine)[1].max()) for name, (activation, _, _) in ACTIVATIONS.items()
        },
        "tanh_from_sigmoid_difference": float((torch.tanh(fine) - (2 * torch.sigmoid(2 * fine) - 1)).abs().max()),
        "lenet_at_minus_1_and_1": ends.tolist(),
        "share_of_zeros_after_relu": float((torch.relu(drawn) == 0).double().mean()),
        "drawn": _DRAWN,
        "example": {
            "x": inputs.tolist(),
            "w": weights.tolist(),
            "b": 0.5,
            **{name: float(neuron(inputs, weights, 0.5, g)) for name, (g, _, _) in ACTIVATIONS.items()},
        },
    }


def _curves() -> Figure:
    points = torch.linspace(-4, 4, 161, dtype=torch.float64)
    with tour_style("tour-neuron"):
        chart = Chart(figsize=(WIDTH, 4.2), layout="constrained")
        for axes, (name, (activation, _, _)) in zip(chart.subplots(2, 2).flat, ACTIVATIONS.items(), strict=True):
            values, slopes = value_and_slope(activation, points)
            axes.axvline(0, color=GREY, linewidth=0.6)
            axes.plot(points, values, color=BLUE, label="g(a)")
            axes.plot(points, slopes, color=ORANGE, linestyle="--", label="g'(a)")
            axes.set(title=name, xlim=(-4, 4), ylim=(-1.25, 2.25), yticks=[-1, 0, 1, 2])
        chart.axes[0].legend(loc="upper left", handlelength=1.5)
        for axes in chart.axes[2:]:
            axes.set_xlabel("pre-activation a")
        svg = themed(chart, "Linear, sigmoid, tanh and ReLU with their derivatives")
    return Figure(
        svg=svg,
        caption="The four activation functions g (blue) and their derivatives g' (orange, dashed): values by PyTorch, "
        "derivatives by its autograd.",
    )


def _lenet() -> Figure:
    points = torch.linspace(-3, 3, 121, dtype=torch.float64)
    with tour_style("tour-neuron-lenet"):
        chart, axes = new_axes(3.4, 2.5)
        axes.plot(points, scaled_tanh(points), color=GREEN, label="1.7159 tanh(2a/3)")
        axes.plot(points, torch.tanh(points), color=BLUE, linestyle="--", label="tanh(a)")
        axes.plot([-1, 1], [-1, 1], "o", color=INK, markersize=5)
        axes.set(xlabel="pre-activation a", ylabel="output", ylim=(-1.9, 2.7))
        axes.legend(loc="upper left", handlelength=1.5)
        svg = themed(chart, "LeNet's scaled tanh goes through (-1, -1) and (1, 1)")
    return Figure(svg=svg, caption="LeNet-5's scaled tanh keeps targets of ±1 (dots) away from where it is flat.")


def _rectified(share: float, seed: int) -> Figure:
    with torch_randomness(seed, "tour", "neuron"):
        drawn = torch.randn(_DRAWN, dtype=torch.float64)
    edges = np.linspace(-4, 4, 33)
    with tour_style("tour-neuron-zeros"):
        chart, axes = new_axes(3.4, 2.5)
        axes.hist(drawn.numpy(), bins=edges.tolist(), color=GREY, histtype="step", label="before: N(0, 1)")
        positive = drawn[drawn > 0].numpy()
        axes.hist(positive, bins=edges.tolist(), color=BLUE, alpha=0.5, label="after ReLU: kept")
        axes.bar(0, share * _DRAWN, width=0.12, color=ORANGE, label="after ReLU: exactly 0")
        axes.set(xlabel="value", ylabel="count", ylim=(0, 0.95 * _DRAWN))
        axes.legend(loc="upper right", fontsize=9)
        svg = themed(chart, "Half of normally distributed pre-activations become exactly zero")
    return Figure(
        svg=svg, caption=f"ReLU makes {share:.2%} of {_DRAWN:,} pre-activations drawn from N(0, 1) exactly 0."
    )


def _table(numbers: Mapping[str, Any]) -> Table:
    rows = []
    for name, (_, formula, derivative) in ACTIVATIONS.items():
        values = [f"{value:.6g}" for value in numbers["values"][name]]
        rows.append([name, formula, *values, derivative, f"{numbers['slopes'][name][2]:g}"])
    columns = ["g", "formula", *(f"g({point:g})" for point in numbers["points"]), "derivative", "g'(0)"]
    return Table(columns=columns, rows=rows, caption="Values to check by hand; PyTorch takes 0 for ReLU's slope at 0.")


def _example(numbers: Mapping[str, Any]) -> Table:
    outputs = [[name, f"{numbers['example'][name]:.6g}"] for name in ACTIVATIONS]
    return Table(
        columns=["g", "h = g(a)"],
        rows=outputs,
        caption="One neuron with w = (2, -1), b = 0.5 and x = (1, 3): a = 0.5 + 2·1 - 1·3 = -0.5.",
    )


def compute(seed: int) -> Section:
    """Functions, derivatives, check values."""
    numbers = _numbers(seed)
    figures = [_curves(), _lenet(), _rectified(numbers["share_of_zeros_after_relu"], seed)]
    return Section(figures=figures, tables=[_table(numbers), _example(numbers)], numbers=numbers)


TOPICS.add(
    "neuron",
    Topic(
        name="neuron",
        order=10,
        title="The neuron and its activation function",
        idea="A neuron weighs its inputs, adds a bias and passes the sum through a function g: a = b + w·x, h = g(a). "
        "Without g, any stack of neurons would be one linear map; the slope of g decides how well errors travel back.",
        code="import torch; a = torch.arange(-2., 3., requires_grad=True); h = torch.sigmoid(a); "
        "h.sum().backward(); print(h, a.grad)",
        source="LeCun, Bottou, Bengio and Haffner, Proc. IEEE 86 (1998), appendix A; Nair and Hinton, ICML 2010",
        compute=compute,
    ),
)
