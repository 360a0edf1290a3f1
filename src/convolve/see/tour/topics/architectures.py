"""LeNet to ResNet drawn to one scale, with what they cost."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Chart
from matplotlib.patches import Polygon, Rectangle

from convolve.networks.cost import Cost, cost_of
from convolve.see.report.svg import BLUE, ORANGE
from convolve.see.tour.classic_networks import (
    ALEXNET,
    GOOGLENET,
    INCEPTION,
    LENET5,
    LENET5_PUBLISHED,
    OVERFEAT,
    RESNET18,
    RESNET50,
    RESNET152,
    VGG16,
    ZFNET,
    Classic,
    MapSize,
    map_sizes,
)
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Table, Topic

_NETWORKS = (LENET5, ALEXNET, ZFNET, OVERFEAT, VGG16, GOOGLENET, INCEPTION, RESNET18, RESNET50, RESNET152)
_DRAWN = (LENET5, ALEXNET, VGG16, GOOGLENET, RESNET152)
_MAPS_PER_PIXEL = 10
_SLANT = 0.25
"""How much of its side a face, seen from the side, takes across."""
_GAP = 9.0
_LABEL = 28.0
"""Least distance from one block to the next, so that their numbers do not touch."""
_ROOM = 68.0
"""Above and below the blocks of a network, for its name and its numbers."""
_ACROSS = 520.0
"""Width of the drawing, in pixels of maps."""


def _compute(_seed: int) -> Section:
    costs = {classic: _cost(classic) for classic in _NETWORKS}
    lenet5_published = _cost(LENET5_PUBLISHED).parameters
    sizes = {classic: map_sizes(classic) for classic in _DRAWN}
    numbers: dict[str, Any] = {
        "parameters": {classic.title: cost.parameters for classic, cost in costs.items()},
        "parameters of LeNet-5 as published": lenet5_published,
        "multiply-adds": {classic.title: cost.multiply_adds for classic, cost in costs.items()},
        "depth": {classic.title: classic.depth for classic in _NETWORKS},
        "maps": {classic.title: [[size.side, size.maps] for size in of] for classic, of in sizes.items()},
    }
    return Section(
        figures=(_to_scale(sizes), _costs(costs)), tables=(_table(costs, lenet5_published),), numbers=numbers
    )


def _cost(classic: Classic) -> Cost:
    return cost_of(classic.shapes(), channels=classic.channels, image_hw=classic.image_hw)


def _to_scale(sizes: dict[Classic, list[MapSize]]) -> Figure:
    with tour_style("architectures-to-scale"):
        rows = [size[0].side * (1 + _SLANT) + _ROOM for size in sizes.values()]
        # One pair of axes for all: what is to one scale must not be laid out apart.
        chart = Chart(figsize=(WIDTH, WIDTH * sum(rows) / _ACROSS))
        axes = chart.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, _ACROSS)
        axes.set_ylim(-sum(rows), 0)
        top = 0.0
        for (classic, of_network), row in zip(sizes.items(), rows, strict=True):
            title = f"{classic.title} ({classic.year}), {classic.depth} layers"
            axes.text(2, top - 4, title, fontsize=10, color=INK, va="top")
            _draw(axes, of_network, top - 22 - of_network[0].side * (0.5 + _SLANT))
            top -= row
        svg = themed(chart, "the maps of five networks as blocks to one scale")
    return Figure(
        svg=svg,
        caption=f"One scale for all: a block's height is the side of its maps in pixels, its length their number, "
        f"{_MAPS_PER_PIXEL} maps a pixel. Numbers: side, and below it how many maps. Maps shrink as their number "
        "grows. Fully connected layers, which hold most parameters of AlexNet and VGG-16, are not drawn.",
    )


def _draw(axes: Axes, sizes: list[MapSize], middle: float) -> None:
    left = 2.0
    for size in sizes:
        length, slant, low = size.maps / _MAPS_PER_PIXEL, size.side * _SLANT, middle - size.side / 2
        axes.add_patch(Rectangle((left, low), length, size.side, facecolor=BLUE, alpha=0.35, linewidth=0))
        axes.add_patch(Rectangle((left, low), length, size.side, facecolor="none", edgecolor=BLUE, linewidth=0.8))
        right, top = left + length, low + size.side
        face = [(right, low), (right + slant, low + slant), (right + slant, top + slant), (right, top)]
        lid = [(left, top), (right, top), (right + slant, top + slant), (left + slant, top + slant)]
        for corners, alpha in ((face, 0.7), (lid, 0.15)):
            axes.add_patch(Polygon(corners, closed=True, facecolor=BLUE, alpha=alpha, linewidth=0))
        axes.text(left, low - 3, f"{size.side}\n{size.maps}", fontsize=8.5, color=INK, va="top", linespacing=1.0)
        left += max(length + slant + _GAP, _LABEL)


def _costs(costs: dict[Classic, Cost]) -> Figure:
    titles = [classic.title for classic in costs]
    with tour_style("architectures-costs"):
        chart = Chart(figsize=(WIDTH, 3.4), layout="constrained")
        left, right = chart.subplots(1, 2, sharey=True)
        places = range(len(titles))
        left.barh(places, [cost.parameters / 1e6 for cost in costs.values()], color=BLUE)
        right.barh(places, [cost.multiply_adds / 1e9 for cost in costs.values()], color=ORANGE)
        left.set_yticks(places, titles)
        left.tick_params(axis="y", labelcolor=INK)
        left.invert_yaxis()
        for axes, name in ((left, "million parameters"), (right, "thousand million\nmultiply-adds")):
            axes.set_xlabel(name)
            axes.grid(visible=False, axis="y")
        svg = themed(chart, "parameters and multiply-adds of ten networks")
    return Figure(
        svg=svg,
        caption="Counted on the networks themselves, one image each. More parameters are not more work: fully "
        "connected layers hold many and use each once, convolutions few and use each at every place.",
    )


def _table(costs: dict[Classic, Cost], lenet5_published: int) -> Table:
    rows = [
        (
            classic.title,
            str(classic.year),
            str(classic.depth),
            f"{classic.side} x {classic.side}",
            f"{cost.parameters:,}",
            f"{cost.multiply_adds / 1e6:,.1f}",
        )
        for classic, cost in costs.items()
    ]
    caption = (
        "Layers: those with weights on the longest path, as the papers count them. Parameters with biases and with "
        "batch norm's scale and shift, for 1,000 classes (LeNet-5: 10), without auxiliary classifiers. "
        "Multiply-adds in millions; pooling and normalisation are not counted. LeNet-5 is the form that most libraries "
        "have, every map of its third layer connected and maximum pooling; the paper's, where a table says which maps "
        f"are connected and pooling has weights, has {lenet5_published:,} parameters."
    )
    return Table(
        columns=("network", "year", "layers", "image", "parameters", "multiply-adds"), rows=rows, caption=caption
    )


TOPICS.add(
    "architectures",
    Topic(
        name="architectures",
        order=160,
        title="From LeNet to ResNet",
        idea="Seventeen years of networks are one plan: maps that shrink while their number grows, then a classifier. "
        "What changed is depth, made trainable by ReLU, small filters, normalisation and shortcuts, and that "
        "parameters were saved where they did least.",
        code="convolve zoo 'torchvision:resnet*'",
        source="LeCun et al. 1998; Krizhevsky et al. 2012; Zeiler and Fergus 2014; Sermanet et al. 2014; Simonyan and "
        "Zisserman 2015; Szegedy et al. 2015, 2016; He et al. 2016",
        compute=_compute,
    ),
)
