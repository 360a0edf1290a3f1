"""The page of a learning curve, and its plot as a file of its own."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from convolve.see.report.numbers import counted, percent, percent_range
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, chart_style, label, new_axes, to_svg
from convolve.see.report.template import write_page

_COLOURS = (BLUE, ORANGE, GREEN, GREY)
_LARGEST_TABLE = 60


def write_curve(path: Path, results: Mapping[str, Any]) -> dict[str, bytes]:
    """Write the page, whole or not at all.

    Args:
        path: of the HTML file.
        results: of `convolve curve`, as its JSON has them.

    Returns:
        The plot as a file, by ending: "svg" and "png".

    Raises:
        UserError: no space is left.
    """
    with chart_style("learning-curve"):
        figure = _plot(results)
        svg = to_svg(figure, "Accuracy on the test images against the number of training images, on a log axis")
        png = BytesIO()
        figure.savefig(png, format="png", dpi=160)
    write_page(
        path,
        "learning_curve.html.jinja",
        results=results,
        headline=headline(results),
        reading=_reading(results),
        plot=svg,
        rows=table_rows(results),
        classes_shown=_LARGEST_TABLE,
    )
    return {"svg": _alone(svg), "png": png.getvalue()}


def headline(results: Mapping[str, Any]) -> str:
    """What the curve of the best rung comes to, in one line."""
    best = max(results["rungs"], key=lambda rung: rung["points"][-1]["accuracy"])
    last, law = best["points"][-1], best["extrapolation"]
    now = f"{percent(last['accuracy'])} right with {counted(last['images'], 'training image')}"
    if law["fit"] is None:
        return now
    low, high = law["doubling"]["gain_ci95"]
    gain = 100 * law["doubling"]["gain"]
    return f"{now}; twice as many should bring {gain:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def _reading(results: Mapping[str, Any]) -> str:
    """How to read the plot."""
    tested = counted(results["test_images"], "image")
    words = (
        f"Each line is the mean accuracy on the same {tested} kept for testing. Its band is the 95 % interval for "
        "having tested on these images and not on others"
    )
    if any(rung["draws"] > 1 for rung in results["rungs"]):
        words += (
            "; small dots are single draws of the training images, so their spread is what the choice of images does"
        )
    dashed = any(rung["extrapolation"]["fit"] for rung in results["rungs"])
    words += (
        ". The dashed line is the fitted power law, carried on to twice the images, with its 95 % interval in grey"
        if dashed
        else ""
    )
    return f"{words}. The axis of images is logarithmic: each step to the right of equal length multiplies them."


def _plot(results: Mapping[str, Any]) -> Figure:
    figure, axes = new_axes(7.6, 4.4)
    sizes = [point["images"] for point in results["rungs"][0]["points"]]
    for number, rung in enumerate(results["rungs"]):
        _draw(axes, rung, _COLOURS[number % len(_COLOURS)])
    _name_lines(axes, results["rungs"])
    carried = any(rung["extrapolation"]["fit"] for rung in results["rungs"])
    ticks = [*sizes, 2 * sizes[-1]] if carried else sizes
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.15, ticks[-1] * (1.35 if not carried else 1.15))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("training images (log axis)")
    axes.set_ylabel(f"accuracy on {counted(results['test_images'], 'test image')}")
    axes.set_title(
        f"{label(results['data'])}: {headline(results)}", loc="left", fontsize=9.5, fontweight="bold", wrap=True
    )
    if carried:
        axes.axvline(sizes[-1], color=GREY, linewidth=0.8, linestyle=":")
        axes.annotate(
            "all images there are ", (sizes[-1], 0.02), xycoords=("data", "axes fraction"), color=GREY, ha="right"
        )
    return figure


def _draw(axes: Axes, rung: Mapping[str, Any], colour: str) -> None:
    points = rung["points"]
    images = [point["images"] for point in points]
    lows, highs = zip(*(point["accuracy_ci95"] for point in points), strict=True)
    if rung["extrapolation"]["fit"]:
        line = [row for row in rung["extrapolation"]["line"] if row[0] >= images[-1] / 2]
        counts, expected, low, high = zip(*line, strict=True)
        beyond = [position for position, count in enumerate(counts) if count >= images[-1] / 1.2]
        axes.fill_between(
            [counts[n] for n in beyond],
            [low[n] for n in beyond],
            [high[n] for n in beyond],
            color=GREY,
            alpha=0.18,
            lw=0,
        )
        axes.plot(counts, expected, color=colour, linestyle="--", linewidth=1.2)
    axes.fill_between(images, lows, highs, color=colour, alpha=0.16, linewidth=0)
    axes.plot(images, [point["accuracy"] for point in points], color=colour, marker="o", markersize=5)
    for point in points:
        if point["draws"] > 1:
            axes.plot(
                [point["images"]] * point["draws"],
                point["draw_accuracies"],
                color=colour,
                marker="o",
                markersize=2.6,
                linestyle="",
                alpha=0.55,
            )


def _name_lines(axes: Axes, rungs: list[Mapping[str, Any]]) -> None:
    """Each line's name beside its middle, above the highest and below the lowest, so that names stay apart."""
    middle = len(rungs[0]["points"]) // 2
    ordered = sorted(rungs, key=lambda rung: -rung["points"][middle]["accuracy"])
    for rank, rung in enumerate(ordered):
        colour = _COLOURS[rungs.index(rung) % len(_COLOURS)]
        point = rung["points"][middle]
        below = rank > 0
        height = point["accuracy_ci95"][0 if below else 1]
        axes.annotate(
            rung["rung"],
            (point["images"], height),
            xytext=(0, -4 if below else 4),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
            color=colour,
            fontweight="bold",
        )


def _alone(svg: Markup) -> bytes:
    """The plot as a file: with a white ground, since viewers may have a dark one."""
    # A plain string: Markup would escape what is put into it.
    ground = str(svg).replace(">", ' style="background: white">', 1)
    return ("<?xml version='1.0' encoding='utf-8'?>\n" + ground).encode()


def table_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """(rung, images, accuracy, test interval, spread of draws) of every point, as text."""
    rows = []
    for rung in results["rungs"]:
        for point in rung["points"]:
            draws = point["draw_accuracies"]
            spread = percent_range([min(draws), max(draws)]) if len(draws) > 1 else ""
            rows.append(
                [
                    rung["rung"],
                    f"{point['images']:,}",
                    percent(point["accuracy"]),
                    percent_range(point["accuracy_ci95"]),
                    f"{spread} ({len(draws)})" if spread else "1 draw",
                ]
            )
    return rows
