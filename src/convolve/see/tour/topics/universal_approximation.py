"""Universal approximation: a network written down, not learned, whose error falls with the square of its width."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from convolve.randomness import torch_randomness
from convolve.see.report.svg import BLUE, GREY, ORANGE, new_axes
from convolve.see.tour.descent import descend
from convolve.see.tour.drawing import INK, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

WIDTHS = (8, 16, 32, 64)
_END = 2 * math.pi
_STEPS = 800


class Interpolant(nn.Module):
    """One hidden layer of n ReLU units that is the piecewise linear interpolant of a function at n + 1 knots.

    Unit i computes relu(x - knot i); its output weight is the change of slope there. The error is at most
    h^2/8 max|f''|, h the distance of the knots (de Boor, "A practical guide to splines", 1978, chapter III).

    Args:
        function: of float64 points (N,), to be interpolated.
        start: the first knot.
        end: the last knot.
        units: n, hidden units.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], *, start: float, end: float, units: int) -> None:
        super().__init__()
        knots = torch.linspace(start, end, units + 1, dtype=torch.float64)
        values = function(knots)
        slopes = values.diff() / knots.diff()
        self.hidden = nn.Linear(1, units, dtype=torch.float64)
        self.output = nn.Linear(units, 1, dtype=torch.float64)
        with torch.no_grad():
            self.hidden.weight.fill_(1.0)
            self.hidden.bias.copy_(-knots[:-1])
            self.output.weight.copy_(torch.cat([slopes[:1], slopes.diff()])[None])
            self.output.bias.copy_(values[:1])

    def forward(self, points: Tensor) -> Tensor:
        """(N, 1) to (N, 1)."""
        result: Tensor = self.output(torch.relu(self.hidden(points)))
        return result


def largest_error(network: nn.Module) -> float:
    """The largest distance from sin over [0, 2 pi], at 65,537 points."""
    points = torch.linspace(0, _END, 2**16 + 1, dtype=torch.float64)
    with torch.no_grad():
        return float((network(points[:, None])[:, 0] - torch.sin(points)).abs().max())


def _learned(units: int, seed: int) -> nn.Module:
    points = torch.linspace(0, _END, 257, dtype=torch.float64)[:, None]
    with torch_randomness(seed, "tour", "universal-approximation", units):
        network = nn.Sequential(nn.Linear(1, units), nn.ReLU(), nn.Linear(units, 1)).double()
    descend(network, lambda: nn.functional.mse_loss(network(points), torch.sin(points)), steps=_STEPS, rate=0.02)
    return network


def _numbers(seed: int) -> dict[str, Any]:
    errors = [largest_error(Interpolant(torch.sin, start=0, end=_END, units=units)) for units in WIDTHS]
    slope = np.polyfit(np.log(WIDTHS), np.log(errors), 1)[0]
    return {
        "widths": list(WIDTHS),
        "largest_errors": errors,
        "bounds": [(_END / units) ** 2 / 8 for units in WIDTHS],
        "slope_of_log_error": float(slope),
        "slope_of_last_doubling": math.log2(errors[-1] / errors[-2]),
        "learned_largest_errors": [largest_error(_learned(units, seed)) for units in WIDTHS],
        "steps_of_learning": _STEPS,
    }


def _fit(units: int) -> Figure:
    network = Interpolant(torch.sin, start=0, end=_END, units=units)
    points = torch.linspace(0, _END, 161, dtype=torch.float64)
    knots = torch.linspace(0, _END, units + 1, dtype=torch.float64)
    with torch.no_grad():
        heights, at_knots = network(points[:, None])[:, 0], network(knots[:, None])[:, 0]
    with tour_style(f"tour-approximation-{units}"):
        chart, axes = new_axes(3.4, 2.3)
        axes.plot(points, torch.sin(points), color=GREY, linewidth=3, alpha=0.5, label="sin x")
        axes.plot(points, heights, color=BLUE, label=f"{units} ReLU units")
        axes.plot(knots, at_knots, "o", color=INK, markersize=3.5)
        axes.set(xlabel="x", ylim=(-1.2, 1.2), xticks=[0, math.pi, _END])
        axes.set_xticklabels(["0", "π", "2π"])
        axes.legend(loc="upper right")
        svg = themed(chart, f"sin x and a network of {units} hidden ReLU units")
    kinks = f"{units} kinks (the last dot is the end)"
    return Figure(svg=svg, caption=f"sin x and a network of {units} hidden units, written down: {kinks}, one a unit.")


def _by_width(numbers: Mapping[str, Any]) -> Figure:
    with tour_style("tour-approximation-width"):
        chart, axes = new_axes(3.6, 3.2)
        axes.loglog(WIDTHS, numbers["bounds"], color=GREY, linestyle="--", label="bound h²/8")
        axes.loglog(WIDTHS, numbers["largest_errors"], "o-", color=BLUE, label="written down")
        axes.loglog(WIDTHS, numbers["learned_largest_errors"], "s-", color=ORANGE, label="learned")
        axes.set_xticks(WIDTHS, labels=[str(units) for units in WIDTHS])
        axes.set_yticks([0.001, 0.01, 0.1, 1.0], labels=["0.001", "0.01", "0.1", "1"])
        axes.minorticks_off()
        axes.set(xlabel="hidden units", ylabel="largest error")
        axes.legend(loc="upper center", bbox_to_anchor=(0.45, 1.33), ncols=2, columnspacing=1, handlelength=1.5)
        svg = themed(chart, "Largest error by number of hidden units, both axes logarithmic")
    slope, last = numbers["slope_of_log_error"], numbers["slope_of_last_doubling"]
    return Figure(
        svg=svg,
        caption=f"The error falls with the square of the width (slope {slope:.3f} over all, {last:.3f} at the last "
        f"doubling). The same networks, learned in "
        f"{_STEPS} steps of Adam from random weights, stay far above: that good weights exist does not say that they "
        "are found.",
    )


def _table(numbers: Mapping[str, Sequence[float]]) -> Table:
    columns = zip(WIDTHS, numbers["largest_errors"], numbers["bounds"], numbers["learned_largest_errors"], strict=True)
    rows = [[str(units), f"{error:.5g}", f"{bound:.5g}", f"{learned:.2g}"] for units, error, bound, learned in columns]
    return Table(
        columns=["hidden units", "largest error", "bound h²/8", "learned"], rows=rows, caption="sin x on [0, 2π]."
    )


def compute(seed: int) -> Section:
    """Fits of sin, errors by width."""
    numbers = _numbers(seed)
    return Section(figures=[_fit(8), _fit(16), _by_width(numbers)], tables=[_table(numbers)], numbers=numbers)


TOPICS.add(
    "universal-approximation",
    Topic(
        name="universal-approximation",
        order=20,
        title="Universal approximation",
        idea="On a bounded, closed set, one hidden layer with a linear output comes as near to any continuous function "
        "as one likes, if it is wide enough. The theorem says that such weights exist: not how many units it takes, "
        "not that training finds them.",
        code="from convolve.see.tour.topics.universal_approximation import Interpolant, largest_error; import torch; "
        "print(largest_error(Interpolant(torch.sin, start=0, end=2 * torch.pi, units=8)))",
        source="Cybenko, Math. Control Signals Systems 2 (1989); Hornik, Neural Networks 4 (1991); "
        "Leshno, Lin, Pinkus and Schocken, Neural Networks 6 (1993) for ReLU",
        compute=compute,
    ),
)
