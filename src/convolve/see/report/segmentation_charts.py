"""The charts that only a report on masks has."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import PercentFormatter

from convolve.see.report.svg import BLUE, GREY, ORANGE, chart_style, new_axes, to_svg


def retained_chart(retained: Sequence[Mapping[str, Any]], least_certain: Sequence[Mapping[str, Any]]) -> Markup:
    """Accuracy of the pixels that are kept when the least certain ones are set aside, and the errors among those.

    Args:
        retained: "share" of the pixels that are kept, the most certain ones, and their "accuracy".
        least_certain: "share" of the pixels that are set aside, and the share of all "errors" they hold.
    """
    kept = sorted((row["share"], row["accuracy"]) for row in retained if row["accuracy"] is not None)
    aside = sorted((row["share"], row["errors"]) for row in least_certain if row["errors"] is not None)
    # Of no pixels and of all pixels it is known without measuring.
    aside = [(0.0, 0.0), *aside, (1.0, 1.0)] if aside else []
    with chart_style("retained"):
        figure, axes = new_axes(4.6, 3.2)
        shares = [1 - share for share, _ in kept]
        axes.plot(shares, [accuracy for _, accuracy in kept], color=BLUE, label="right among the rest")
        if aside:
            axes.plot(*zip(*aside, strict=True), color=ORANGE, label="errors set aside")
            axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="at random")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="least certain pixels set aside", ylabel="share")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="best")
        return to_svg(figure, "Accuracy of the pixels that remain, and errors set aside, by share set aside")
