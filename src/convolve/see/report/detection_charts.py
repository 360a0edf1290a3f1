"""The charts that only a report on boxes has."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from convolve.see.report.numbers import counted, percent
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, chart_style, label, new_axes, to_svg

# Lines past these would not be told apart: the rest are grey.
_LINES = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STROKES = ("-", "--", "-.", ":")
_NAMED = 12


def curves_chart(per_class: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Precision against recall at IoU .5, a line a class, and where the threshold puts each.

    Args:
        per_class: by name, "curve" with "recall" and "precision", both in [0, 1], or None; and "recall" and "precision"
            at the threshold, or None.
    """
    with chart_style("curves"):
        figure, axes = new_axes(5.0, 3.6)
        drawn = [(name, row) for name, row in per_class.items() if row["curve"]]
        for place, (name, row) in enumerate(drawn):
            colour = _LINES[place] if place < len(_LINES) else GREY
            stroke = _STROKES[place % len(_STROKES)] if place < len(_LINES) else "-"
            named = label(name) if place < _NAMED else None
            curve = row["curve"]
            axes.plot(curve["recall"], curve["precision"], color=colour, linestyle=stroke, label=named)
            if row["precision"] is not None and row["recall"] is not None:
                axes.plot(row["recall"], row["precision"], "o", color=colour, markersize=7, markeredgecolor="white")
        axes.plot([], [], "o", color=GREY, label="at the threshold")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.03), xlabel="recall: share of objects found")
        axes.set_ylabel("precision: share of boxes right")
        _in_percent(axes)
        axes.legend(loc="lower left")
        return to_svg(figure, "Precision against recall of each class, the threshold marked")


def sizes_chart(by_size: Mapping[str, float]) -> Markup:
    """Average precision by the size of objects.

    Args:
        by_size: AP in [0, 1] of each group, smallest objects first.
    """
    with chart_style("sizes"):
        figure, axes = new_axes(4.2, 0.9 + 0.42 * len(by_size))
        _bars(axes, list(by_size), list(by_size.values()), [percent(value) for value in by_size.values()], BLUE)
        axes.set(xlim=(0, 1.18), xlabel="AP over IoU .5 to .95")
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        return to_svg(figure, "Average precision by the size of objects")


def errors_chart(rows: Sequence[tuple[str, int, float]]) -> Markup:
    """What goes wrong: how often, and what it costs.

    Args:
        rows: (kind, how many, by how much mAP@.5 would rise without them, in [-1, 1]) of each kind of error.
    """
    names, counts, gains = zip(*rows, strict=True)
    points = [100 * gain for gain in gains]
    with chart_style("errors"):
        figure = Figure(figsize=(7.0, 0.9 + 0.34 * len(rows)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        _bars(left, names, counts, [f"{count:,}" for count in counts], ORANGE)
        left.set(xlim=(0, 1.22 * max(1, *counts)), xlabel="how many")
        left.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        _bars(right, names, points, [f"{gain:+.1f}" for gain in points], BLUE)
        right.set(xlim=(min(0, *points), 1.3 * max(1, *points)), xlabel="points of mAP@.5 gained without them")
        return to_svg(figure, "Errors by kind: how many, and what each costs")


def counts_chart(per_image: Sequence[Mapping[str, Any]]) -> Markup:
    """Objects drawn by people against boxes given by the network, a dot an image.

    Args:
        per_image: "objects", "found" and "false_alarms" of each.
    """
    true = np.array([row["objects"] for row in per_image])
    given = np.array([row["found"] + row["false_alarms"] for row in per_image])
    places, times = np.unique(np.stack([true, given]), axis=1, return_counts=True)
    most = max(1, int(true.max()), int(given.max()))
    with chart_style("counts"):
        figure, axes = new_axes(4.0, 3.8)
        axes.plot([0, most], [0, most], color=GREY, linestyle="--", linewidth=1, label="as many")
        # The area of a dot says how many images share the place.
        axes.scatter(places[0], places[1], s=18.0 * times, color=BLUE, alpha=0.55, linewidths=0)
        axes.set(xlabel="objects annotated in the image", ylabel="boxes given", aspect="equal")
        axes.set(xlim=(-0.04 * most, 1.05 * most), ylim=(-0.04 * most, 1.05 * most))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.legend(loc="upper left")
        return to_svg(figure, f"Boxes given against objects annotated, on {counted(len(per_image), 'image')}")


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], words: Sequence[str], colour: str) -> None:
    """Horizontal bars from top to bottom with their values beside them."""
    places = range(len(names))
    axes.barh(places, values, height=0.6, color=colour)
    axes.set_yticks(places, [label(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    for place, value, said in zip(places, values, words, strict=True):
        axes.annotate(f" {said}", (value, place), va="center", color=GREY)


def _in_percent(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
