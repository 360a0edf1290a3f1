"""What one neuron can separate, what it cannot, and how a hidden layer bends the plane until it can."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Chart
from torch import Tensor, nn

from convolve.see.report.svg import BLUE, GREY, ORANGE, new_axes
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.linear_separation import (
    CORNERS,
    TRUTH_TABLES,
    BentPlane,
    XorNetwork,
    best_line_score,
    logistic_score,
    moons,
    share_right,
    trained_bent_plane,
    trained_hidden_layers,
    trained_line,
)
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

_LINES = 20_000
# Name, grid, points, logits, window, names of the axes.
_Drawing = tuple[
    str, list[Tensor], Tensor, Callable[[Tensor], Tensor], tuple[float, float, float, float], tuple[str, str]
]
# Of the plane that is drawn: left, right, bottom, top.
_WINDOW = (-1.6, 2.6, -1.2, 1.7)


def _classes(axes: Axes, points: Tensor, classes: Tensor, size: float) -> None:
    for truth, colour, marker in ((0, BLUE, "o"), (1, ORANGE, "^")):
        chosen = points[classes == truth]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=size, color=colour, marker=marker, linewidths=0)


def _regions(axes: Axes, logits_of: Callable[[Tensor], Tensor], window: tuple[float, float, float, float]) -> None:
    left, right, bottom, top = window
    columns, rows = np.meshgrid(np.linspace(left, right, 90), np.linspace(bottom, top, 90))
    with torch.no_grad():
        logits = logits_of(torch.tensor(np.stack([columns.ravel(), rows.ravel()], axis=1))).numpy()
    logits = logits.reshape(columns.shape)
    axes.contourf(columns, rows, logits, levels=[-np.inf, 0, np.inf], colors=[BLUE, ORANGE], alpha=0.16)
    axes.contour(columns, rows, logits, levels=[0], colors=[INK], linewidths=1.4)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.grid(visible=False)


def _gates() -> Figure:
    lines: dict[str, Callable[[Tensor], Tensor] | None] = {
        "AND": lambda x: x.sum(1) - 1.5,
        "OR": lambda x: x.sum(1) - 0.5,
        "XOR": None,
    }
    corners = torch.tensor(CORNERS)
    with tour_style("tour-separating-gates"):
        chart = Chart(figsize=(WIDTH, 1.9), layout="constrained")
        for axes, (name, truth) in zip(chart.subplots(1, 3), TRUTH_TABLES.items(), strict=True):
            line = lines[name]
            if line:
                _regions(axes, line, (-0.4, 1.4, -0.4, 1.4))
            _classes(axes, corners, torch.tensor(truth), 70)
            axes.set(title=name, xlim=(-0.4, 1.4), ylim=(-0.4, 1.4), xticks=[0, 1], yticks=[0, 1], aspect="equal")
        svg = themed(chart, "AND and OR are separated by a line; XOR is not")
    return Figure(svg=svg, caption="A line separates AND and OR (orange triangles are true); no line separates XOR.")


def _xor() -> Figure:
    corners = torch.tensor(CORNERS)
    network = XorNetwork()
    truth = torch.tensor(TRUTH_TABLES["XOR"])
    with torch.no_grad():
        bent = network.bend(corners)
    with tour_style("tour-separating-xor"):
        chart, axes = new_axes(3.0, 2.4)
        _regions(axes, lambda hidden: network.output(hidden)[:, 0] - 0.5, (-0.4, 2.6, -0.5, 1.4))
        _classes(axes, bent, truth, 70)
        # Labels keep off the line.
        for (x, y), words, up in (((0, 0), "(0,0)", 8), ((1, 0), "(0,1) and (1,0)", -15), ((2, 1), "(1,1)", 8)):
            axes.annotate(words, (x, y), xytext=(0, up), textcoords="offset points", ha="center", fontsize=9)
        axes.set(xlabel="h1 = relu(x1 + x2)", ylabel="h2 = relu(x1 + x2 - 1)", xticks=[0, 1, 2], yticks=[0, 1])
        svg = themed(chart, "XOR in the plane of two hidden units, where a line separates it")
    return Figure(
        svg=svg,
        caption="Two hidden units lay (0,1) and (1,0) on each other; now h1 - 2 h2 = 1/2, a line, separates XOR.",
    )


def _moon_regions(name: str, network: nn.Module, points: Tensor, classes: Tensor, caption: str) -> Figure:
    with tour_style(f"tour-separating-{name}"):
        chart, axes = new_axes(3.2, 2.4)
        _regions(axes, network, _WINDOW)
        _classes(axes, points, classes, 12)
        axes.set(xlabel="x1", ylabel="x2")
        svg = themed(chart, caption)
    return Figure(svg=svg, caption=caption)


def _grid_lines(window: tuple[float, float, float, float]) -> list[Tensor]:
    left, right, bottom, top = window
    along = torch.linspace(0, 1, 61, dtype=torch.float64)
    across, up = left + (right - left) * along, bottom + (top - bottom) * along
    upright = [torch.stack([torch.full_like(up, float(x)), up], dim=1) for x in across[::5]]
    level = [torch.stack([across, torch.full_like(across, float(y))], dim=1) for y in up[::5]]
    return upright + level


def _bent_plane(network: BentPlane, points: Tensor, classes: Tensor) -> list[Figure]:
    lines = _grid_lines(_WINDOW)
    with torch.no_grad():
        bent = [network.bend(line) for line in lines]
        bent_points = network.bend(points)

    def straight(hidden: Tensor) -> Tensor:
        logits: Tensor = network.output(hidden)[:, 0]
        return logits

    drawings: tuple[_Drawing, ...] = (
        ("before", lines, points, network, _WINDOW, ("x1", "x2")),
        ("after", bent, bent_points, straight, (-1.1, 1.1, -1.1, 1.1), ("hidden unit 1", "hidden unit 2")),
    )
    captions = (
        "The plane with a grid, two moons, and the border of a network with hidden layers of 4 and 2 tanh units.",
        "The same plane as the last two hidden units see it: bent until the border is a straight line.",
    )
    figures = []
    for (name, grid, places, logits_of, window, axis_names), caption in zip(drawings, captions, strict=True):
        with tour_style(f"tour-separating-{name}"):
            chart, axes = new_axes(3.2, 2.6)
            _regions(axes, logits_of, window)
            for line in grid:
                axes.plot(line[:, 0], line[:, 1], color=GREY, linewidth=0.5, alpha=0.6)
            _classes(axes, places, classes, 12)
            axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
            figures.append(Figure(svg=themed(chart, caption), caption=caption))
    return figures


def _tables(numbers: Mapping[str, Any]) -> list[Table]:
    rows = [
        [name, f"{numbers['logistic_regression'][name]:.0%}", f"{numbers['best_line'][name]:.0%}"]
        for name in TRUTH_TABLES
    ]
    network = XorNetwork()
    corners = torch.tensor(CORNERS)
    with torch.no_grad():
        bent, outputs = network.bend(corners), network(corners)
    steps = zip(CORNERS, bent.tolist(), outputs.tolist(), strict=True)
    return [
        Table(
            columns=["function", "logistic regression", f"best of {_LINES:,} random lines"],
            rows=rows,
            caption="Corners of four that are right.",
        ),
        Table(
            columns=["x1, x2", "h1", "h2", "y = h1 - 2 h2"],
            rows=[[f"{x[0]:g}, {x[1]:g}", f"{h[0]:g}", f"{h[1]:g}", f"{y:g}"] for x, h, y in steps],
            caption="XOR by two ReLU units, exactly.",
        ),
    ]


def compute(seed: int) -> Section:
    """Truth tables, moons, the bent plane."""
    noisy, noisy_classes = moons(seed, noise=0.2)
    clear, clear_classes = moons(seed, noise=0.08)
    line = trained_line(noisy, noisy_classes)
    layers = trained_hidden_layers(noisy, noisy_classes, seed)
    bent_plane = trained_bent_plane(clear, clear_classes, seed)
    numbers = {
        "logistic_regression": {name: logistic_score(name) for name in TRUTH_TABLES},
        "best_line": {name: best_line_score(name, _LINES, seed) for name in TRUTH_TABLES},
        "xor_network": XorNetwork()(torch.tensor(CORNERS)).tolist(),
        "moons_one_neuron": share_right(line(noisy), noisy_classes),
        "moons_hidden_layers": share_right(layers(noisy), noisy_classes),
        "moons_bent_plane": share_right(bent_plane(clear), clear_classes),
    }
    words = "{}: {:.1%} of the 200 points are on the right side."
    figures = [
        _gates(),
        _xor(),
        _moon_regions("line", line, noisy, noisy_classes, words.format("One neuron", numbers["moons_one_neuron"])),
        _moon_regions(
            "layers",
            layers,
            noisy,
            noisy_classes,
            words.format("Two hidden layers of 16", numbers["moons_hidden_layers"]),
        ),
        *_bent_plane(bent_plane, clear, clear_classes),
    ]
    return Section(figures=figures, tables=_tables(numbers), numbers=numbers)


TOPICS.add(
    "separating",
    Topic(
        name="separating",
        order=30,
        title="What one neuron can separate, and how hidden layers bend the plane",
        idea="One neuron separates two classes by a straight line, which is enough for AND and OR but never for XOR or "
        "two moons. A hidden layer moves the points, bending the plane until a straight line is enough.",
        code="from convolve.see.tour.linear_separation import CORNERS, XorNetwork; import torch; "
        "print(XorNetwork()(torch.tensor(CORNERS)))",
        source="Minsky and Papert, Perceptrons, 1969; Goodfellow, Bengio and Courville, Deep Learning, 2016, 6.1",
        compute=compute,
    ),
)
