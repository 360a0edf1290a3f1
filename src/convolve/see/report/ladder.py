"""The page of a ladder: its rungs side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

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
        columns=COLUMNS,
        rows=table_rows(results),
        plot=_plot(results),
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


COLUMNS = ("rung", "accuracy", "95 % interval", "time", "parameters trained", "peak memory")
"""Of `table_rows`."""


def table_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """The rungs, a row each, as text."""
    return [
        [
            row["rung"],
            percent(row["accuracy"]),
            percent_range(row["accuracy_ci95"]),
            duration(row["seconds"]),
            f"{row['trained_parameters']:,}",
            "not measured" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:,.0f} MiB",
        ]
        for row in results["rungs"]
    ]


def _plot(results: Mapping[str, Any]) -> Markup:
    rows = results["rungs"]
    places = np.arange(len(rows))
    accuracies = np.array([row["accuracy"] for row in rows])
    bounds = np.array([row["accuracy_ci95"] for row in rows]).T
    seconds = [row["seconds"] for row in rows]
    judged = counted(results["images"], _JUDGED[results["judged"]])
    with chart_style("ladder"):
        figure = Figure(figsize=(8.4, 1.3 + 0.55 * len(rows)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2, 1])
        left.errorbar(
            accuracies,
            places,
            xerr=np.abs(bounds - accuracies),
            color=BLUE,
            fmt="o",
            markersize=7,
            capsize=3,
            elinewidth=1.4,
        )
        for place, accuracy in zip(places, accuracies, strict=True):
            left.annotate(
                percent(accuracy), (accuracy, place), xytext=(0, 7), textcoords="offset points", ha="center", color=BLUE
            )
        left.set_yticks(places, [label(row["rung"]) for row in rows])
        left.set_ylim(len(rows) - 0.5, -0.6)
        # Whole percents only: labels are rounded to them.
        left.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        left.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        left.set_xlabel(f"accuracy on {judged}, with its 95 % interval")
        left.set_title("How often it is right", loc="left", fontsize=10, fontweight="bold")
        right.barh(places, seconds, height=0.45, color=ORANGE)
        for place, value in zip(places, seconds, strict=True):
            right.annotate(
                f" {duration(value)}",
                (value, place),
                va="center",
                color=GREY,
                xytext=(1, 0),
                textcoords="offset points",
            )
        right.set_xlim(0, max(seconds) * 1.45)
        right.set_xlabel("seconds, all in")
        right.set_title("How long it takes", loc="left", fontsize=10, fontweight="bold")
        right.grid(visible=False, axis="y")
        return to_svg(figure, "Accuracy with its 95 % interval, and seconds, of each rung")
