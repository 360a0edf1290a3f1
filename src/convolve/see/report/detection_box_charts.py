"""The charts of annotated boxes: how large, of which shape, how many, and where."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from convolve.see.report.svg import BLUE, GREY, chart_style, label, new_axes, to_svg

_BINS = 32
_SINGLE = 1.25
"""A histogram reaches this factor past the least and the greatest value."""
_MOST_COUNTS = 30


def sizes_histogram(
    sizes: Mapping[str, NDArray[np.float64]], anchors: Sequence[float], colours: Sequence[str]
) -> Markup:
    """How many boxes there are of each size, on a logarithmic scale, and where the anchors lie.

    Args:
        sizes: by class, the square roots of areas, pixels of the network's input; at least one in all.
        anchors: the anchors' sizes, likewise; may be empty.
        colours: of the classes.
    """
    with chart_style("box sizes"):
        figure, axes = new_axes(4.8, 3.0)
        _logarithmic(axes, sizes, anchors, colours)
        _mark(axes, anchors, "anchors")
        axes.set(xlabel="size at the input: root of the area, pixels", ylabel="boxes")
        axes.legend(loc="best")
        return to_svg(figure, "Histogram of the boxes' sizes, with the anchors marked")


def shapes_histogram(
    ratios: Mapping[str, NDArray[np.float64]], anchors: Sequence[float], colours: Sequence[str]
) -> Markup:
    """How many boxes there are of each shape, and where the anchors lie.

    Args:
        ratios: by class, heights by widths; at least one in all.
        anchors: the anchors' ratios; may be empty.
        colours: of the classes.
    """
    with chart_style("box shapes"):
        figure, axes = new_axes(4.8, 3.0)
        _logarithmic(axes, ratios, anchors, colours)
        _mark(axes, anchors, "anchors")
        axes.set(xlabel="height by width (below 1: lying; above 1: standing)", ylabel="boxes")
        axes.legend(loc="best")
        return to_svg(figure, "Histogram of the boxes' heights by widths, with the anchors marked")


def counts_histogram(counts: NDArray[np.int64]) -> Markup:
    """How many images have how many boxes.

    Args:
        counts: (N,) boxes of each image.
    """
    most = int(counts.max(initial=0))
    edges = np.arange(most + 2) - 0.5 if most <= _MOST_COUNTS else np.linspace(-0.5, most + 0.5, _MOST_COUNTS + 1)
    with chart_style("boxes per image"):
        figure, axes = new_axes(4.8, 2.6)
        axes.hist(counts, bins=edges.tolist(), color=BLUE, rwidth=0.9)
        axes.set(xlabel="boxes in an image", ylabel="images")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        return to_svg(figure, "Histogram of the number of boxes in an image")


def places_map(shares: NDArray[np.float64]) -> Markup:
    """Where on images boxes lie.

    Args:
        shares: (R, C) boxes that cover each part of an image, an image being cut into R x C parts, as a share of all
            boxes.
    """
    with chart_style("places"):
        figure, axes = new_axes(3.6, 3.0)
        axes.grid(visible=False)
        # Of an even spread the colour is even: the scale starts at nothing.
        shown = axes.imshow(shares, cmap="viridis", vmin=0, extent=(0, 1, 1, 0), interpolation="nearest")
        axes.set(xlabel="from left to right", ylabel="from top to bottom")
        axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
        bar = figure.colorbar(shown, ax=axes, shrink=0.85)
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
        return to_svg(figure, "Where on images boxes lie")


def _logarithmic(
    axes: Axes, values: Mapping[str, NDArray[np.float64]], marks: Sequence[float], colours: Sequence[str]
) -> None:
    everything = np.concatenate([*values.values(), np.array(marks, np.float64)])
    edges = np.geomspace(everything.min() / _SINGLE, everything.max() * _SINGLE, _BINS + 1)
    names = [label(name) for name in values] if len(values) > 1 else ["boxes"]
    axes.hist(list(values.values()), bins=edges.tolist(), stacked=True, color=list(colours), label=names)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_round_numbers(float(edges[0]), float(edges[-1]))))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _mark(axes: Axes, places: Sequence[float], name: str) -> None:
    for number, place in enumerate(places):
        axes.axvline(place, color=GREY, linestyle="--", linewidth=1.1, label=name if number == 0 else None)


def _round_numbers(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2 and 5 of each power of ten; more on a short axis, fewer on a long one."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps: tuple[float, ...] = (1, 2, 5) if high / low > 5 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    if high / low > 1000:
        steps = (1,)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
