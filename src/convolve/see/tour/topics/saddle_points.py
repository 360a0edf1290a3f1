"""Saddle points: three ways down from beside one, by hand and on an auto-encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from torch import Tensor

from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, new_axes
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.optimisation import (
    CriticalPoint,
    Descent,
    critical_points,
    descend_by_newton,
    descend_saddle_free,
    descend_with_momentum,
    lowest_loss,
    pooled_digits,
)
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic
from convolve.training.curvature import newton_step, saddle_free_newton_step

Place = tuple[float, float]

_START: Place = (1.0, 0.5)
_CURVATURE = (2.0, -2.0)
_LR, _STEPS = 0.1, 6
_RATES = (0.3, 1.0, 2.0)
_NEAR = 1.1
"""A descent has arrived when its loss is within 10 % of the lowest."""


@dataclass(frozen=True)
class _OneStep:
    """Paths on f = x^2 - y^2 from one start."""

    gradient: list[Place]
    newton: list[Place]
    saddle_free: list[Place]


@dataclass(frozen=True)
class _Race:
    momentum: dict[float, Descent]
    saddle_free: Descent
    newton: Descent
    slopes: list[float]
    arrived: float

    @property
    def best_rate(self) -> float:
        """The learning rate that arrives first."""
        steps = {rate: descent.steps_below(self.arrived) for rate, descent in self.momentum.items()}
        return min(self.momentum, key=lambda rate: (steps[rate] is None, steps[rate]))


def _compute(seed: int) -> Section:
    paths, race, points = _paths(), _run_race(seed), critical_points(pooled_digits())
    best = race.momentum[race.best_rate]
    numbers = {
        "start": list(_START),
        "one_step": {
            "gradient_descent": list(paths.gradient[1]),
            "newton": list(paths.newton[1]),
            "saddle_free_newton": list(paths.saddle_free[1]),
        },
        "saddle_loss": race.saddle_free.losses[0],
        "lowest_loss": race.arrived / _NEAR,
        "steps_to_arrive": {
            "momentum": best.steps_below(race.arrived),
            "saddle_free_newton": race.saddle_free.steps_below(race.arrived),
            "newton": race.newton.steps_below(race.arrived),
        },
        "best_learning_rate": race.best_rate,
        "newton_losses": list(race.newton.losses),
        "newton_slopes": race.slopes,
        "critical_points": [[point.loss, point.index] for point in points],
    }
    return Section(
        figures=(_paths_figure(paths), _race_figure(race), _index_figure(points)),
        tables=(_table(race),),
        numbers=numbers,
    )


def _paths() -> _OneStep:
    return _OneStep(
        gradient=_path(lambda gradient, _: -_LR * gradient, _STEPS),
        newton=_path(newton_step, 1),
        saddle_free=_path(saddle_free_newton_step, 1),
    )


def _path(step_of: Callable[[Tensor, Tensor], Tensor], steps: int) -> list[Place]:
    hessian = torch.diag(torch.tensor(_CURVATURE, dtype=torch.float64))
    place: Tensor = torch.tensor(_START, dtype=torch.float64)
    places = [_START]
    for _ in range(steps):
        place = place + step_of(hessian @ place, hessian)
        x, y = place.tolist()
        places.append((x, y))
    return places


def _run_race(seed: int) -> _Race:
    images = pooled_digits()
    newton, slopes = descend_by_newton(images, seed, steps=3)
    return _Race(
        momentum={rate: descend_with_momentum(images, seed, lr=rate, steps=140) for rate in _RATES},
        saddle_free=descend_saddle_free(images, seed, steps=16),
        newton=newton,
        slopes=slopes,
        arrived=_NEAR * lowest_loss(images),
    )


def _paths_figure(paths: _OneStep) -> Figure:
    with tour_style("saddle-paths"):
        chart, axes = new_axes(WIDTH, 3.6)
        line = torch.linspace(-1.5, 1.5, 61)
        heights = line[None] ** 2 - line[:, None] ** 2
        axes.contour(line, line, heights, levels=13, colors=GREY, linewidths=0.5, alpha=0.5)
        _draw(axes, paths.gradient, BLUE, "o", f"gradient descent, {_STEPS} steps")
        _draw(axes, paths.newton, ORANGE, "s", "Newton, 1 step")
        _draw(axes, paths.saddle_free, GREEN, "^", "saddle-free Newton, 1 step")
        axes.plot(0, 0, "x", color=INK, markersize=9)
        axes.annotate("start", _START, xytext=(6, -12), textcoords="offset points", color=INK)
        axes.annotate("saddle", (0, 0), xytext=(-44, -14), textcoords="offset points", color=INK)
        axes.set(xlim=(-1.5, 1.5), ylim=(-0.75, 1.5), xlabel="x", ylabel="y", aspect="equal")
        axes.grid(visible=False)
        chart.legend(loc="outside upper left", ncols=1)
        svg = themed(chart, "paths of three methods on x squared minus y squared from (1, 0.5)")
    return Figure(
        svg=svg,
        caption="f = x² - y² from (1, 0.5), where the gradient is (2, -1) and the Hessian diag(2, -2). Newton divides "
        "by -2 along y, turns round and lands on the saddle (0, 0); saddle-free Newton divides by |-2| and lands on "
        f"(0, 1). Gradient descent has learning rate {_LR:g}.",
    )


def _draw(axes: Axes, places: Sequence[Place], colour: str, marker: str, label: str) -> None:
    across, up = zip(*places, strict=True)
    axes.plot(across, up, color=colour, marker=marker, markersize=4.5, label=label)


def _race_figure(race: _Race) -> Figure:
    with tour_style("saddle-race"):
        chart, axes = new_axes(WIDTH, 3.0)
        momentum = race.momentum[race.best_rate]
        for descent, colour, label in (
            (momentum, BLUE, f"momentum 0.9, best rate {race.best_rate:g}"),
            (race.newton, ORANGE, "Newton"),
            (race.saddle_free, GREEN, "saddle-free Newton"),
        ):
            axes.plot(range(len(descent.losses)), descent.losses, color=colour, label=label)
        axes.plot(len(race.newton.losses) - 1, race.newton.losses[-1], "s", color=ORANGE, markersize=5)
        axes.axhline(race.arrived / _NEAR, color=GREY, linestyle=":", label="lowest")
        axes.set(xlim=(0, 100), ylim=(0, None), xlabel="steps", ylabel="squared error")
        chart.legend(loc="outside upper left", ncols=2)
        svg = themed(chart, "reconstruction error by steps of three methods from near a saddle")
    return Figure(
        svg=svg,
        caption="An auto-encoder of 16 - 8 - 16 units (tanh) on 300 digits of 4 x 4 pixels, all weights near 0, which "
        "is a saddle. Newton's method with the whole Hessian converges to it, and stops there; saddle-free Newton, as "
        "training uses it, leaves it in the fewest steps.",
    )


def _index_figure(points: Sequence[CriticalPoint]) -> Figure:
    with tour_style("saddle-index"):
        chart, axes = new_axes(WIDTH, 2.6)
        axes.plot([point.loss for point in points], [100 * point.index for point in points], "o", color=BLUE)
        axes.set(xlim=(0, None), ylim=(-2, 55), xlabel="squared error", ylabel="negative curvature, %")
        svg = themed(chart, "share of negative eigenvalues of critical points by their error")
    return Figure(
        svg=svg,
        caption="The same auto-encoder without tanh, of which all places without a slope are known: projections on any "
        "of the principal components, here on the first ones (left) and on those after the second (right). "
        "High error goes with many directions down; only the best has none.",
    )


def _table(race: _Race) -> Table:
    rows = [(f"momentum 0.9, rate {rate:g}", descent) for rate, descent in race.momentum.items()]
    rows += [("Newton", race.newton), ("saddle-free Newton", race.saddle_free)]
    return Table(
        columns=("method", "steps", "milliseconds a step"),
        rows=[[name, _steps(descent, race.arrived), _step_time(descent)] for name, descent in rows],
        caption="Steps to within 10 % of the lowest error. A step of saddle-free Newton costs about fifty backward "
        "passes: on a problem as small as this one it wins in steps, not in time.",
    )


def _steps(descent: Descent, arrived: float) -> str:
    steps = descent.steps_below(arrived)
    return "not reached" if steps is None else str(steps)


def _step_time(descent: Descent) -> str:
    milliseconds = 1000 * descent.seconds / (len(descent.losses) - 1)
    return f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


TOPICS.add(
    "saddle-points",
    Topic(
        name="saddle-points",
        order=90,
        title="Saddle points",
        idea="In many dimensions most places without a slope are saddles, ringed by plateaus on which gradient descent "
        "is slow, and to which Newton's method is drawn, because it climbs where curvature is negative. "
        "Saddle-free Newton divides by the absolute curvature: it goes down in every direction, far where it is flat.",
        code="convolve train digits network=mlp network.options.hidden=[32] network.options.activation=tanh "
        "start=scratch optimiser=saddle-free-newton epochs=3",
        source="Dauphin et al., Identifying and attacking the saddle point problem in high-dimensional non-convex "
        "optimization, NeurIPS 2014",
        compute=_compute,
    ),
)
