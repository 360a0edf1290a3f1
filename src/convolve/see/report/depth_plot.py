"""Accuracy against depth, networks that differ in depth alone joined by a line."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, chart_style, label, new_axes, to_svg

_COLOURS = (ORANGE, BLUE, GREEN)
_MARKERS = ("s", "o", "^")


def depth_plot(results: Mapping[str, Any]) -> Markup:
    """The chart of a ladder whose rungs are networks.

    Args:
        results: of `convolve ladder`, each rung with its "depth" in layers with weights and its "family".
    """
    rows = results["rungs"]
    families = list(dict.fromkeys(row["family"] for row in rows if row["family"]))
    with chart_style("depth"):
        figure, axes = new_axes(8.4, 3.6)
        for row in (row for row in rows if not row["family"]):
            _draw(axes, [row], colour=GREY, marker="D", line="none")
            axes.annotate(
                label(row["rung"]),
                (row["depth"], row["accuracy"]),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color=GREY,
            )
        for number, family in enumerate(families):
            members = sorted((row for row in rows if row["family"] == family), key=lambda row: row["depth"])
            colour = _COLOURS[number % len(_COLOURS)]
            _draw(axes, members, colour=colour, marker=_MARKERS[number % len(_MARKERS)], line="-")
            last = members[-1]
            axes.annotate(
                label(family),
                (last["depth"], last["accuracy"]),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                color=colour,
                fontweight="bold",
            )
        depths = sorted({row["depth"] for row in rows})
        axes.set_xscale("log")
        # Room for the name behind the last.
        axes.set_xlim(depths[0] * 0.8, depths[-1] * 1.6)
        axes.set_xticks(depths, map(str, depths))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("layers with weights, on a logarithmic scale")
        axes.set_ylabel("accuracy, with its 95 % interval")
        return to_svg(figure, "accuracy against depth, of each rung")


def _draw(axes: Axes, rows: list[Mapping[str, Any]], *, colour: str, marker: str, line: str) -> None:
    values = np.array([row["accuracy"] for row in rows])
    spread = np.abs(np.array([row["accuracy_ci95"] for row in rows]).T - values)
    axes.errorbar(
        [row["depth"] for row in rows],
        values,
        yerr=spread,
        color=colour,
        fmt=marker,
        linestyle=line,
        markersize=6,
        capsize=3,
        elinewidth=1.0,
    )
