"""The page of a ladder: its rungs side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from convolve.see.report.depth_plot import depth_plot
from convolve.see.report.numbers import counted, duration, percent, percent_range
from convolve.see.report.svg import BLUE, GREY, ORANGE, chart_style, label, to_svg
from convolve.see.report.template import write_page

_JUDGED = {"test": "test image", "out-of-fold": "held-out image"}


def write_ladder(path: Path, results: Mapping[str, Any]) -> None:
    """Write the page, whole or not at all.

    Args:
        path: of the HTML file.
        results: of `convolve ladder`, as its JSON has them; every rung's report is in a folder beside the page.

    Raises:
        UserError: no space is left.
    """
    write_page(
        path,
        "ladder.html.jinja",
        results=results,
        headline=headline(results),
        judged=counted(results["images"], _JUDGED[results["judged"]]),
        columns=columns(results),
        rows=table_rows(results),
        plot=_plot(results),
        depth_plot=depth_plot(results) if of_networks(results) else None,
    )


def headline(results: Mapping[str, Any]) -> str:
    """The best rung, what it is surely better than, and the quickest that is not surely worse."""
    best = max(results["rungs"], key=lambda row: row["accuracy"])
    first = f"{best['rung']} is best: {percent(best['accuracy'])} right, in {duration(best['seconds'])}"
    if len(results["rungs"]) == 1:
        return f"{best['rung']}: {percent(best['accuracy'])} right, in {duration(best['seconds'])}"
    beaten = {
        name
        for test in results["comparisons"]
        if test["better"] == best["rung"]
        for name in test["rungs"]
        if name != best["rung"]
    }
    equals = [row for row in results["rungs"] if row["rung"] not in beaten and row is not best]
    if not equals:
        return f"{first}; it beats the others by more than chance"
    quickest = min(equals, key=lambda row: row["seconds"])
    return (
        f"{first}; {quickest['rung']}, {percent(quickest['accuracy'])} in {duration(quickest['seconds'])}, "
        "cannot be told apart from it"
    )


def of_networks(results: Mapping[str, Any]) -> bool:
    """Whether the rungs are networks, which are told with their depth and cost."""
    return all("depth" in row for row in results["rungs"])


def columns(results: Mapping[str, Any]) -> list[str]:
    """Of `table_rows`."""
    cost = ["layers", "multiply-adds", "epochs", "last training loss"] if of_networks(results) else []
    return ["rung", "accuracy", "95 % interval", "time", "parameters trained", *cost, "peak memory"]


def table_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """The rungs, a row each, as text."""
    return [
        [
            row["rung"],
            percent(row["accuracy"]),
            percent_range(row["accuracy_ci95"]),
            duration(row["seconds"]),
            f"{row['trained_parameters']:,}",
            *(_cost(row) if of_networks(results) else []),
            "not measured" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:,.0f} MiB",
        ]
        for row in results["rungs"]
    ]


def _cost(row: Mapping[str, Any]) -> list[str]:
    loss = row["train_loss"]
    return [
        str(row["depth"]),
        f"{row['multiply_adds'] / 1e6:,.1f} M",
        str(row["epochs"]),
        "" if loss is None else f"{loss:.3f}",
    ]


def _plot(results: Mapping[str, Any]) -> Markup:
    rows = results["rungs"]
    judged = counted(results["images"], _JUDGED[results["judged"]])
    return rungs_plot(
        [row["rung"] for row in rows],
        Panel(
            "How often it is right",
            f"accuracy on {judged}, with its 95 % interval",
            [row["accuracy"] for row in rows],
            [percent(row["accuracy"]) for row in rows],
        ),
        Panel(
            "How long it takes",
            "seconds, all in",
            [row["seconds"] for row in rows],
            [duration(row["seconds"]) for row in rows],
        ),
        intervals=[row["accuracy_ci95"] for row in rows],
    )


@dataclass(frozen=True, slots=True)
class Panel:
    """One number of each rung.

    Attributes:
        title: of the panel.
        axis: what the numbers are.
        values: of the rungs.
        words: the same as a reader wants them.
    """

    title: str
    axis: str
    values: Sequence[float]
    words: Sequence[str]


def rungs_plot(
    names: Sequence[str],
    scores: Panel,
    seconds: Panel,
    *,
    intervals: Sequence[Sequence[float]],
    time_scale: Literal["linear", "log"] = "linear",
) -> Markup:
    """The scores of the rungs as dots with intervals, and beside them what they cost as bars.

    Args:
        names: of the rungs, top to bottom.
        scores: in [0, 1].
        seconds: not negative; positive on a logarithmic scale.
        intervals: [low, high] of each score.
        time_scale: of the bars.
    """
    places, values = np.arange(len(names)), np.array(scores.values)
    with chart_style("ladder"):
        figure = Figure(figsize=(8.4, 1.3 + 0.55 * len(names)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2, 1])
        spread = np.abs(np.array(intervals).T - values)
        left.errorbar(values, places, xerr=spread, color=BLUE, fmt="o", markersize=7, capsize=3, elinewidth=1.4)
        for place, value, words in zip(places, values, scores.words, strict=True):
            left.annotate(words, (value, place), xytext=(0, 7), textcoords="offset points", ha="center", color=BLUE)
        left.set_yticks(places, [label(name) for name in names])
        left.set_ylim(len(names) - 0.5, -0.6)
        # Whole percents only: labels are rounded to them.
        left.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        left.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        left.set_xlabel(scores.axis)
        left.set_title(scores.title, loc="left", fontsize=10, fontweight="bold")
        right.barh(places, seconds.values, height=0.45, color=ORANGE)
        for place, value, words in zip(places, seconds.values, seconds.words, strict=True):
            right.annotate(
                f" {words}", (value, place), va="center", color=GREY, xytext=(1, 0), textcoords="offset points"
            )
        if time_scale == "log":
            right.set_xscale("log")
            right.xaxis.set_major_formatter("{x:g}")
            right.xaxis.set_minor_formatter(NullFormatter())
            # A bar of the least value has a length too, and there is room for words after the longest.
            right.set_xlim(min(seconds.values) / 3, max(seconds.values) * 30)
        else:
            right.set_xlim(0, max(seconds.values) * 1.45)
        right.set_xlabel(seconds.axis)
        right.set_title(seconds.title, loc="left", fontsize=10, fontweight="bold")
        right.grid(visible=False, axis="y")
        return to_svg(figure, f"{scores.axis}, and {seconds.axis}, of each rung")
