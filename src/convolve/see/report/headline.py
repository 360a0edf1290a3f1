"""The first line of a report: the figure, what it rests on, and how sure it is."""

import statistics
from collections.abc import Sequence

from convolve.see.report.content import Member, Report
from convolve.see.report.numbers import counted, percent, percent_range

IMAGES_OF = {
    "test": "test image",
    "validation": "validation image",
    "out-of-fold": "held-out image",
}
"""What an image of a split is called; `counted` makes it plural."""


def headline(report: Report) -> str:
    """The accuracy with its n and its interval, in one sentence; or that there is none to report.

    >>> from convolve.see.report.headline import sentence
    >>> sentence(0.887, 372, "test", [0.853, 0.918], several_labels=False)
    '88.7 % of 372 test images right (95 % interval 85.3–91.8 %)'
    """
    results = report.results
    if results["n"] == 0:
        return "No images were held out, so there is no accuracy to report"
    return sentence(
        results["accuracy"],
        results["n"],
        report.split,
        results["accuracy_ci95"],
        several_labels="confusion" not in results,
    )


def sentence(accuracy: float, n: int, split: str, interval: Sequence[float], *, several_labels: bool) -> str:
    """The headline of plain values; with several labels an image is right when all of its labels are."""
    right = "right in every label" if several_labels else "right"
    return f"{percent(accuracy)} of {counted(n, IMAGES_OF[split])} {right} (95 % interval {percent_range(interval)})"


def spread(members: Sequence[Member], score: str = "accuracy") -> str:
    """Mean and standard deviation of a score of several trainings, in words.

    Args:
        members: at least two.
        score: which of their results.
    """
    scores = [member.results[score] for member in members]
    return (
        f"mean {percent(statistics.mean(scores))}, standard deviation {100 * statistics.stdev(scores):.1f} points "
        f"over {len(scores)} trainings ({percent_range([min(scores), max(scores)])})"
    )
