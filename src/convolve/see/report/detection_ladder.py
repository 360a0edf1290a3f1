"""The page of the ladder from R-CNN to Faster R-CNN: its rungs side by side, their boxes as well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from convolve.see.box_drawing import BoxMark, BoxPicture, drawn, key
from convolve.see.report.headline import IMAGES_OF
from convolve.see.report.numbers import counted, duration, percent, percent_range
from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, chart_style, label, to_svg
from convolve.see.report.template import write_page

_SIDE = 400
# A ratio below is said with a decimal: 1.8 times is not 2 times.
_ROUNDED_FROM = 10
_SAME = 1.05


@dataclass(frozen=True, kw_only=True)
class BoxRung:
    """One rung.

    Attributes:
        rung: its name, for example "fast".
        about: what it is, in one line.
        map50: mAP@.5 on the images that all were judged on, in [0, 1].
        map50_ci95: its interval, or None.
        map: over the IoUs .5 to .95, in [0, 1].
        proposal_seconds: an image, in prediction, for what proposes regions; 0 for a rung without.
        network_seconds: likewise, for all the rest.
        proposal_recall: share of the objects that a proposal overlaps by half; None for a rung without.
        seconds: of training, all in.
        parameters: of the network.
        report: the address of its report, from the page's folder.
    """

    rung: str
    about: str
    map50: float
    map50_ci95: Sequence[float] | None
    map: float
    proposal_seconds: float
    network_seconds: float
    proposal_recall: float | None
    seconds: float
    parameters: int
    report: str

    @property
    def image_seconds(self) -> float:
        """An image, in prediction, all in."""
        return self.proposal_seconds + self.network_seconds


@dataclass(frozen=True, kw_only=True)
class LadderExample:
    """One image and what the rungs found in it.

    Attributes:
        name: of the image.
        image: (H, W, 3) uint8, RGB.
        truth: the annotated objects.
        marks: rung -> what it found, its false alarms, and what it missed.
    """

    name: str
    image: NDArray[np.uint8]
    truth: Sequence[BoxMark]
    marks: Mapping[str, Sequence[BoxMark]]


@dataclass(frozen=True, kw_only=True)
class DetectionLadder:
    """Everything that the page tells.

    Attributes:
        data: name of the data set.
        network: what the rungs are built on, in words.
        judged: "test", "validation" or "out-of-fold".
        images: how many the rungs were judged on.
        rungs: in the ladder's order, at least one.
        left_out: (rung, why) of those that could not run.
        differences: (sentence, whether it is more than chance) of pairs of rungs.
        examples: images with the boxes of all rungs.
    """

    data: str
    network: str
    judged: str
    images: int
    rungs: Sequence[BoxRung]
    left_out: Sequence[tuple[str, str]] = ()
    differences: Sequence[tuple[str, bool]] = ()
    examples: Sequence[LadderExample] = ()


def write_detection_ladder(path: Path, ladder: DetectionLadder) -> None:
    """Write the page, whole or not at all: one file that asks for no other, without scripts.

    Args:
        path: of the HTML file; the rungs' reports are in folders beside it.
        ladder: what to tell.

    Raises:
        UserError: no space is left.
    """
    write_page(
        path,
        "detection_ladder.html.jinja",
        ladder=ladder,
        headline=headline(ladder),
        judged=counted(ladder.images, IMAGES_OF[ladder.judged]),
        columns=COLUMNS,
        rows=table_rows(ladder),
        steps=list(steps(ladder.rungs)),
        plot=_plot(ladder),
        panels=[(example.name, _panels(example, ladder)) for example in ladder.examples],
        key=key,
    )


def headline(ladder: DetectionLadder) -> str:
    """The best rung, and the one that predicts quickest."""
    best = max(ladder.rungs, key=lambda rung: rung.map50)
    quickest = min(ladder.rungs, key=lambda rung: rung.image_seconds)
    first = f"mAP@.5 {percent(best.map50)}, {pace(best.image_seconds)} an image"
    if len(ladder.rungs) == 1:
        return f"{best.rung}: {first}"
    if quickest is best:
        return f"{best.rung} is best and quickest: {first}"
    return (
        f"{best.rung} is best: {first}; {quickest.rung} is quickest: {percent(quickest.map50)}, "
        f"{pace(quickest.image_seconds)}"
    )


COLUMNS = (
    "rung",
    "mAP@.5",
    "95 % interval",
    "mAP",
    "proposals an image",
    "network an image",
    "recall of proposals",
    "training",
    "parameters",
)
"""Of `table_rows`."""


def table_rows(ladder: DetectionLadder) -> list[list[str]]:
    """The rungs, a row each, as text."""
    return [
        [
            rung.rung,
            percent(rung.map50),
            percent_range(rung.map50_ci95) if rung.map50_ci95 else "",
            percent(rung.map),
            pace(rung.proposal_seconds) if rung.proposal_seconds else "none",
            pace(rung.network_seconds),
            "" if rung.proposal_recall is None else percent(rung.proposal_recall),
            duration(rung.seconds),
            f"{rung.parameters:,}",
        ]
        for rung in ladder.rungs
    ]


def steps(rungs: Sequence[BoxRung]) -> list[str]:
    """What each rung bought over the one before it, in proposals, network and mAP@.5; a sentence a step."""
    return [_step(before, after) for before, after in pairwise(rungs)]


def times(before: float, after: float) -> str:
    """How much quicker or slower something became.

    >>> times(10.2, 0.2), times(0.2, 0.36), times(1.0, 1.01)
    ('51 times quicker', '1.8 times slower', 'as quick')
    """
    ratio = max(before / after, after / before)
    if ratio < _SAME:
        return "as quick"
    words = f"{ratio:.0f}" if ratio >= _ROUNDED_FROM else f"{ratio:.1f}"
    return f"{words} times {'quicker' if after < before else 'slower'}"


def pace(seconds: float) -> str:
    """Seconds that may be very few.

    >>> pace(0.0123), pace(75)
    ('12.3 ms', '1 min 15 s')
    """
    return duration(seconds) if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _step(before: BoxRung, after: BoxRung) -> str:
    if not after.proposal_seconds:
        proposals = "no proposals" if not before.proposal_seconds else f"proposals are saved ({_was(before)})"
    elif not before.proposal_seconds:
        proposals = f"proposals take {pace(after.proposal_seconds)}"
    else:
        proposals = f"proposals are {times(before.proposal_seconds, after.proposal_seconds)}"
    return (
        f"{before.rung} to {after.rung}: {proposals}; the network is "
        f"{times(before.network_seconds, after.network_seconds)} ({pace(before.network_seconds)}, then "
        f"{pace(after.network_seconds)}); mAP@.5 {100 * (after.map50 - before.map50):+.1f} points"
    )


def _was(rung: BoxRung) -> str:
    return f"{pace(rung.proposal_seconds)} an image"


def _plot(ladder: DetectionLadder) -> Markup:
    """The scores of the rungs as dots with intervals; beside them what proposals and network cost, as bars."""
    rungs = ladder.rungs
    with chart_style("detection ladder"):
        figure = Figure(figsize=(8.8, 1.5 + 0.62 * len(rungs)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.15, 1])
        _scores(left, rungs)
        left.set_xlabel(f"mAP@.5 on {counted(ladder.images, IMAGES_OF[ladder.judged])}, with its 95 % interval")
        _paces(right, rungs)
        figure.legend(loc="outside upper right", ncols=2)
        return to_svg(figure, "mAP@.5, and seconds an image for proposals and for the network, of each rung")


def _scores(axes: Axes, rungs: Sequence[BoxRung]) -> None:
    places, values = np.arange(len(rungs)), np.array([rung.map50 for rung in rungs])
    intervals = np.array([rung.map50_ci95 or (rung.map50, rung.map50) for rung in rungs])
    axes.errorbar(
        values, places, xerr=np.abs(intervals.T - values), color=BLUE, fmt="o", markersize=7, capsize=3, elinewidth=1.4
    )
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            percent(value), (value, place), xytext=(0, 7), textcoords="offset points", ha="center", color=BLUE
        )
    axes.set_yticks(places, [label(rung.rung) for rung in rungs])
    axes.set_ylim(len(rungs) - 0.5, -0.6)
    # Whole percents only: labels are rounded to them.
    axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _paces(axes: Axes, rungs: Sequence[BoxRung]) -> None:
    all_seconds = [value for rung in rungs for value in (rung.proposal_seconds, rung.network_seconds) if value]
    for offset, colour, name, seconds in (
        (-0.17, GREEN, "proposals", [rung.proposal_seconds for rung in rungs]),
        (0.17, ORANGE, "network", [rung.network_seconds for rung in rungs]),
    ):
        for place, value in enumerate(seconds):
            if value:
                axes.barh(place + offset, value, height=0.3, color=colour, label=name)
                axes.annotate(f" {pace(value)}", (value, place + offset), va="center", color=GREY, fontsize=8)
            else:
                axes.annotate(" none", (min(all_seconds) / 3, place + offset), va="center", color=GREY, fontsize=8)
            # One entry of the legend a colour.
            name = "_" if value else name
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    # A bar of the least value has a length too, and there is room for words after the longest.
    axes.set_xlim(min(all_seconds) / 3, max(all_seconds) * 20)
    axes.set_xlabel("seconds an image (logarithmic)")
    axes.grid(visible=False, axis="y")


def _panels(example: LadderExample, ladder: DetectionLadder) -> list[tuple[str, Markup]]:
    """(what it is, picture): the annotation, and the rungs' boxes."""
    marks = {"annotated": example.truth} | {rung.rung: example.marks[rung.rung] for rung in ladder.rungs}
    return [
        (what, drawn(BoxPicture(f"{example.name}, {what}", example.image, tuple(some)), side=_SIDE, labels=False))
        for what, some in marks.items()
    ]
