"""The charts of a report."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator, PercentFormatter

from convolve.see.report.numbers import score_words
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, chart_style, label, new_axes, to_svg

# Above so many classes, names and counts in the confusion matrix would be too small to read.
_MOST_NAMED, _MOST_COUNTED = 40, 25


def loss_chart(history: Sequence[Mapping[str, Any]], best_epoch: int | None) -> Markup:
    """Training and validation loss by epoch.

    Args:
        history: entries with "epoch", "train_loss" and, where there was a validation, "validation" with "loss".
        best_epoch: the epoch that was kept, or None.
    """
    validated = [entry for entry in history if entry.get("validation")]
    series = {
        "training": ([entry["epoch"] for entry in history], [entry["train_loss"] for entry in history], BLUE),
        "validation": (
            [entry["epoch"] for entry in validated],
            [entry["validation"]["loss"] for entry in validated],
            ORANGE,
        ),
    }
    return _curves("loss", "loss", series, best_epoch)


def score_chart(history: Sequence[Mapping[str, Any]], score_name: str, best_epoch: int | None) -> Markup:
    """The validation score by epoch, in [0, 1].

    Args:
        history: entries with "epoch" and "validation" with the score.
        score_name: which of the figures of "validation".
        best_epoch: the epoch that was kept, or None.
    """
    validated = [entry for entry in history if entry.get("validation")]
    scores = [entry["validation"][score_name] for entry in validated]
    words = score_words(score_name)
    series = {f"validation {words}": ([entry["epoch"] for entry in validated], scores, ORANGE)}
    return _curves("score", words, series, best_epoch, share=True)


def reliability_chart(bins: Sequence[Mapping[str, Any]]) -> Markup:
    """Confidence against the share that is right, with the interval of each bin.

    Args:
        bins: "confidence", "accuracy" and, where it is known, "accuracy_ci95" of each.
    """
    confidences = [point["confidence"] for point in bins]
    shares = [point["accuracy"] for point in bins]
    lows, highs = zip(*(point.get("accuracy_ci95") or (point["accuracy"],) * 2 for point in bins), strict=True)
    with chart_style("reliability"):
        figure, axes = new_axes(4.2, 3.6)
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="confidence = share right")
        spread = np.abs(np.array([lows, highs]) - shares)
        axes.errorbar(
            confidences, shares, yerr=spread, color=BLUE, fmt="o-", markersize=4, capsize=2, elinewidth=1, label="found"
        )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="confidence", ylabel="share right", aspect="equal")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="best")
        return to_svg(figure, "Reliability diagram: confidence against the share of predictions that were right")


def confusion_chart(
    confusion: Sequence[Sequence[int]], classes: Sequence[str], *, cells: Literal["counts", "percent"] = "counts"
) -> Markup:
    """How many images or pixels of each class were called what; colours are shares of the row.

    Args:
        confusion: (K, K) counts, rows = truth.
        classes: K names.
        cells: what is written in them: counts, or percent of the row.
    """
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(8.5, 1.8 + 0.42 * len(classes))
    with chart_style("confusion"):
        figure, axes = new_axes(side, side)
        axes.grid(visible=False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="none")
        axes.set(xlabel="predicted", ylabel="true")
        if len(classes) <= _MOST_NAMED:
            names = [label(name) for name in classes]
            axes.set_xticks(range(len(classes)), names, rotation=90 if max(map(len, names)) > 2 else 0)
            axes.set_yticks(range(len(classes)), names)
        if len(classes) <= _MOST_COUNTED:
            for (row, column), count in np.ndenumerate(counts):
                words = str(count) if cells == "counts" else f"{100 * shares[row, column]:.0f}"
                ink = "#AAAAAA" if words == "0" else "white" if shares[row, column] > 0.55 else "black"
                axes.text(column, row, words, color=ink, ha="center", va="center", fontsize=8)
        return to_svg(figure, "Confusion matrix: rows are true classes, columns are predicted ones")


def members_chart(names: Sequence[str], scores: Sequence[float], intervals: Sequence[Sequence[float]]) -> Markup:
    """The score of each fold or seed with its interval, and their mean.

    Args:
        names: of the trainings.
        scores: in [0, 1].
        intervals: [low, high] of each.
    """
    positions = np.arange(len(names))
    spread = np.abs(np.array(intervals).T - np.array(scores))
    with chart_style("members"):
        figure, axes = new_axes(5.2, 0.9 + 0.28 * len(names))
        axes.axvline(float(np.mean(scores)), color=GREEN, linewidth=1.2, label="mean")
        axes.errorbar(scores, positions, xerr=spread, color=BLUE, fmt="o", markersize=4, capsize=2, elinewidth=1)
        axes.set_yticks(positions, [label(name) for name in names])
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="best")
        return to_svg(figure, "Score of each training, with its 95 % interval")


def _curves(
    name: str,
    words: str,
    series: Mapping[str, tuple[Sequence[int], Sequence[float], str]],
    best_epoch: int | None,
    *,
    share: bool = False,
) -> Markup:
    with chart_style(name):
        figure, axes = new_axes(4.6, 2.8)
        for title, (epochs, values, colour) in series.items():
            if epochs:
                axes.plot(
                    epochs, values, color=colour, label=title, marker="o" if len(epochs) < 30 else "", markersize=3
                )
        if best_epoch is not None:
            axes.axvline(best_epoch, color=GREY, linestyle=":", linewidth=1.2, label=f"kept: epoch {best_epoch}")
        axes.set(xlabel="epoch", ylabel=words)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if share:
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="best")
        return to_svg(figure, f"{words} by epoch")
