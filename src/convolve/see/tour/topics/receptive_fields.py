"""Receptive fields: how far a unit of each layer sees, by arithmetic and by gradients."""

from typing import Any

from matplotlib.figure import Figure as Chart
from torch import nn

from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE
from convolve.see.tour.classic_networks import (
    ALEXNET,
    GOOGLENET,
    LENET5,
    OVERFEAT,
    RESNET18,
    RESNET50,
    VGG16,
    ZFNET,
    Classic,
)
from convolve.see.tour.drawing import PURPLE, WIDTH, themed, tour_style
from convolve.see.tour.field_growth import Step, growth, side_by_gradient
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

_NETWORKS = (LENET5, ALEXNET, ZFNET, OVERFEAT, GOOGLENET, VGG16, RESNET18, RESNET50)
_DRAWN = ((LENET5, GREY), (ALEXNET, ORANGE), (VGG16, BLUE), (RESNET18, GREEN), (GOOGLENET, PURPLE))
_CHAINS = ((LENET5, 64), (ALEXNET, 323), (VGG16, 352))
"""Networks without branches, and a side of the image that no border cuts the field in."""


def chain_of(classic: Classic) -> nn.Sequential:
    """The layers of a network without branches, one after another."""
    return nn.Sequential(*(layer for layer in classic.shapes().modules() if not list(layer.children())))


def _compute(_seed: int) -> Section:
    steps = {
        classic.title: growth(classic.shapes(), channels=classic.channels, image_hw=classic.image_hw)
        for classic in _NETWORKS
    }
    gradients = {classic.title: side_by_gradient(chain_of(classic), side=side) for classic, side in _CHAINS}
    numbers: dict[str, Any] = {
        "sides": {title: [step.side for step in of_network] for title, of_network in steps.items()},
        "jumps": {title: [step.jump for step in of_network] for title, of_network in steps.items()},
        "sides by gradient": gradients,
    }
    return Section(figures=(_growth_figure(steps),), tables=(_table(steps, gradients),), numbers=numbers)


def _growth_figure(steps: dict[str, list[Step]]) -> Figure:
    with tour_style("receptive-fields"):
        chart = Chart(figsize=(WIDTH, 3.2), layout="constrained")
        axes = chart.subplots()
        for classic, colour in _DRAWN:
            sides = [1, *(step.side for step in steps[classic.title])]
            axes.plot(range(len(sides)), sides, marker="o", markersize=3, color=colour, label=classic.title)
        axes.axhline(224, color=GREY, linestyle="--", linewidth=1)
        axes.text(0, 236, "image of 224 pixels", fontsize=9, color=GREY, va="bottom")
        axes.set_yscale("log", base=2)
        axes.set_yticks([1, 4, 16, 64, 256, 1024], ["1", "4", "16", "64", "256", "1024"])
        axes.set_xlabel("convolutions and poolings that widen it")
        axes.set_ylabel("side of the field, pixels")
        axes.legend(loc="lower right", fontsize=9)
        svg = themed(chart, "the side of the receptive field against the number of layers, five networks")
    return Figure(
        svg=svg,
        caption="A layer of kernel k adds k - 1 times the distance of its input's units; a stride multiplies that "
        "distance. Of branches the widest counts. Borders count as if the image went on for ever.",
    )


def _table(steps: dict[str, list[Step]], gradients: dict[str, int]) -> Table:
    rows = []
    for title, of_network in steps.items():
        sides = [str(step.side) for step in of_network]
        shown = ", ".join(sides if len(sides) <= 8 else [*sides[:3], "...", *sides[-3:]])
        rows.append((title, shown, str(of_network[-1].jump), str(gradients.get(title, ""))))
    return Table(
        columns=("network", "side, pixels", "distance", "by gradient"),
        rows=rows,
        caption="Layer by layer up to the last map, and the distance there from one unit to the next. By gradient: the "
        "square of pixels with a gradient behind one unit, all weights 1 and means for maxima; chains only.",
    )


TOPICS.add(
    "receptive-fields",
    Topic(
        name="receptive-fields",
        order=140,
        title="Receptive fields",
        idea="A unit sees a square of the image, and each layer widens it: by little where units are close together, "
        "by much behind strides and poolings. What is larger than the square of the last map cannot be recognised as a "
        "whole before the layers that join all places.",
        code="convolve zoo 'torchvision:resnet*' --json",
        source="Araujo, Norris and Sim, Distill 2019; the networks' papers",
        compute=_compute,
    ),
)
