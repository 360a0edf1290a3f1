"""Learning-rate schedules: Caffe's policies by their formulas, and those that training here can use."""

import math
from collections.abc import Callable, Mapping, Sequence

from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, new_axes
from convolve.see.tour.drawing import INK, PURPLE, WIDTH, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic
from convolve.training.schedules import SCHEDULES, learning_rate_factor

BASE, STEPS = 0.01, 1000
_SHOWN = (0, 250, 500, 750, 999)
_SCORES = (0.5, 0.6, 0.65, 0.66, 0.66, 0.66, 0.66, 0.66, 0.66, 0.66)
"""Validation scores by epoch that "plateau" is shown with: they stop rising."""
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, INK, GREY, BLUE)
_LINES = ("-", "-", "-", "-", "--", "-", "--")


def caffe_policies(base: float, steps: int) -> dict[str, Callable[[int], float]]:
    """Caffe's policies, each a learning rate by iteration, with constants that suit `steps` iterations.

    Source: Caffe, src/caffe/solvers/sgd_solver.cpp, GetLearningRate.
    """
    third = steps // 3
    drops = (steps // 2, 3 * steps // 4)
    return {
        "fixed": lambda it: base,
        "step": lambda it: base * 0.1 ** (it // third),
        "multistep": lambda it: base * 0.1 ** sum(it >= drop for drop in drops),
        "exp": lambda it: base * 0.995**it,
        "inv": lambda it: base * (1 + 0.01 * it) ** -0.75,
        "poly": lambda it: base * (1 - it / steps) ** 0.5,
        "sigmoid": lambda it: base / (1 + math.exp(0.02 * (it - steps // 2))),
    }


_FORMULAS = {
    "fixed": "base",
    "step": "base · 0.1^⌊it / 333⌋",
    "multistep": "base · 0.1 at 500 and 750",
    "exp": "base · 0.995^it",
    "inv": "base · (1 + 0.01 it)^-0.75",
    "poly": "base · (1 - it / 1000)^0.5",
    "sigmoid": "base / (1 + e^(0.02 (it - 500)))",
}


def _ours(name: str) -> list[float]:
    """The factors of one of training's schedules over all steps, ten epochs, with 5 % of warm-up."""
    schedule, epoch = SCHEDULES[name](), STEPS // len(_SCORES)
    rates = []
    for step in range(STEPS):
        rates.append(BASE * learning_rate_factor(schedule, step=step, steps=STEPS, warmup=0.05))
        if (step + 1) % epoch == 0:
            schedule.observe(_SCORES[step // epoch])
    return rates


def _compute(_seed: int) -> Section:
    caffe = {name: [policy(it) for it in range(STEPS)] for name, policy in caffe_policies(BASE, STEPS).items()}
    ours = {name: _ours(name) for name in SCHEDULES}
    table = Table(
        columns=("policy", "formula", *(f"it = {it}" for it in _SHOWN[1:-1])),
        rows=[[name, _FORMULAS[name], *(f"{rates[it]:.2g}" for it in _SHOWN[1:-1])] for name, rates in caffe.items()],
        caption=f"Caffe's policies with base = {BASE:g}.",
    )
    numbers = {
        "base": BASE,
        "steps": STEPS,
        "caffe": {name: {str(it): rates[it] for it in _SHOWN} for name, rates in caffe.items()},
        "convolve": {name: {str(it): rates[it] for it in _SHOWN} for name, rates in ours.items()},
    }
    figures = (
        _figure(
            "caffe",
            caffe,
            f"Caffe's policies over {STEPS:,} iterations. AlexNet and VGG were trained by steps, LeNet's example by "
            "inv, GoogLeNet's by poly.",
        ),
        _figure(
            "convolve",
            ours,
            "What schedule.name may be here, with 5 % of warm-up, which came after these papers; plateau cuts when the "
            "validation score has not risen for 3 epochs, as AlexNet's and VGG's authors did by hand.",
        ),
    )
    return Section(figures=figures, tables=(table,), numbers=numbers)


def _figure(whose: str, rates: Mapping[str, Sequence[float]], caption: str) -> Figure:
    with tour_style(f"schedules-{whose}"):
        chart, axes = new_axes(WIDTH, 3.0)
        for (name, values), colour, line in zip(rates.items(), _COLOURS, _LINES, strict=False):
            axes.plot(range(STEPS), values, color=colour, linestyle=line, label=name)
        axes.set(xlim=(0, STEPS), ylim=(0, None), xlabel="step", ylabel="learning rate")
        chart.legend(loc="outside upper left", ncols=4, columnspacing=1, handlelength=1.5)
        svg = themed(chart, f"learning rate by step for {', '.join(rates)}")
    return Figure(svg=svg, caption=caption)


TOPICS.add(
    "learning-rate-schedules",
    Topic(
        name="learning-rate-schedules",
        order=65,
        title="Learning-rate schedules",
        idea="A large learning rate covers ground and a small one settles: noise of the batches keeps a descent as far "
        "from the minimum as its steps are long. "
        "So the rate is lowered as training goes on, by a formula or whenever the validation score stands still.",
        code="convolve train digits start=scratch schedule=step schedule.options.at=[0.5,0.75] "
        "schedule.options.gamma=0.1 epochs=10",
        source="Caffe's solver; Loshchilov and Hutter, SGDR, ICLR 2017; Smith and Topin, Super-Convergence, 2018",
        compute=_compute,
    ),
)
