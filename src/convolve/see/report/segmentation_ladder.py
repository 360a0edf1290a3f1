"""The page of the ladder from patches to fully convolutional networks: its rungs side by side, their maps as well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from convolve.see.overlays import fitted_hw, outlined_overlay, shrink_image, shrink_mask
from convolve.see.report.headline import IMAGES_OF
from convolve.see.report.ladder import Panel, rungs_plot
from convolve.see.report.numbers import counted, duration, percent, percent_range
from convolve.see.report.template import write_page

_SIDE = 260
_STRONG = 0.7


@dataclass(frozen=True, kw_only=True)
class MapRung:
    """One rung.

    Attributes:
        rung: its name, for example "fcn-8s".
        about: what it is, in one line.
        mean_iou: on the images that all were judged on, in [0, 1].
        mean_iou_ci95: its interval, or None.
        pixel_accuracy: share of pixels right, in [0, 1].
        seconds_per_image: in prediction.
        seconds: of training, all in.
        parameters: of the network.
        peak_bytes: the most memory the process held, or None where it was not measured.
        report: the address of its report, from the page's folder.
    """

    rung: str
    about: str
    mean_iou: float
    mean_iou_ci95: Sequence[float] | None
    pixel_accuracy: float
    seconds_per_image: float
    seconds: float
    parameters: int
    peak_bytes: int | None
    report: str


@dataclass(frozen=True, kw_only=True)
class MapExample:
    """One image and what the rungs made of it.

    Attributes:
        name: of the image.
        image: (H, W, 3) uint8, RGB.
        truth: (H, W) uint8 class indices, or 255.
        predicted: rung -> (H, W) uint8 class indices.
    """

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    predicted: Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class SegmentationLadder:
    """Everything that the page tells.

    Attributes:
        data: name of the data set.
        network: what the rungs are built on, in words.
        classes: K names.
        colours: K of red, green and blue, 0..255.
        judged: "test", "validation" or "out-of-fold".
        images: how many the rungs were judged on.
        rungs: in the ladder's order, at least one.
        left_out: (rung, why) of those that could not run.
        differences: (sentence, whether it is more than chance) of pairs of rungs.
        examples: images with the maps of all rungs.
    """

    data: str
    network: str
    classes: Sequence[str]
    colours: Sequence[tuple[int, int, int]]
    judged: str
    images: int
    rungs: Sequence[MapRung]
    left_out: Sequence[tuple[str, str]] = ()
    differences: Sequence[tuple[str, bool]] = ()
    examples: Sequence[MapExample] = ()


def write_segmentation_ladder(path: Path, ladder: SegmentationLadder) -> None:
    """Write the page, whole or not at all: one file that asks for no other, without scripts.

    Args:
        path: of the HTML file; the rungs' reports are in folders beside it.
        ladder: what to tell.

    Raises:
        UserError: no space is left.
    """
    write_page(
        path,
        "segmentation_ladder.html.jinja",
        ladder=ladder,
        headline=headline(ladder),
        judged=counted(ladder.images, IMAGES_OF[ladder.judged]),
        columns=COLUMNS,
        rows=table_rows(ladder),
        plot=_plot(ladder),
        panels=[_panels(example, ladder) for example in ladder.examples],
    )


def headline(ladder: SegmentationLadder) -> str:
    """The best rung, and the one that predicts quickest."""
    best = max(ladder.rungs, key=lambda rung: rung.mean_iou)
    quickest = min(ladder.rungs, key=lambda rung: rung.seconds_per_image)
    first = f"mean IoU {percent(best.mean_iou)}, {pace(best.seconds_per_image)} an image"
    if len(ladder.rungs) == 1:
        return f"{best.rung}: {first}"
    if quickest is best:
        return f"{best.rung} is best and quickest: {first}"
    return (
        f"{best.rung} is best: {first}; {quickest.rung} is quickest: {percent(quickest.mean_iou)}, "
        f"{pace(quickest.seconds_per_image)}"
    )


COLUMNS = (
    "rung",
    "mean IoU",
    "95 % interval",
    "pixels right",
    "time an image",
    "training",
    "parameters",
    "peak memory",
)
"""Of `table_rows`."""


def table_rows(ladder: SegmentationLadder) -> list[list[str]]:
    """The rungs, a row each, as text."""
    return [
        [
            rung.rung,
            percent(rung.mean_iou),
            percent_range(rung.mean_iou_ci95) if rung.mean_iou_ci95 else "",
            percent(rung.pixel_accuracy),
            pace(rung.seconds_per_image),
            duration(rung.seconds),
            f"{rung.parameters:,}",
            "not measured" if rung.peak_bytes is None else f"{rung.peak_bytes / 2**20:,.0f} MiB",
        ]
        for rung in ladder.rungs
    ]


def pace(seconds: float) -> str:
    """Seconds that may be very few.

    >>> pace(0.0123), pace(75)
    ('12.3 ms', '1 min 15 s')
    """
    return duration(seconds) if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _plot(ladder: SegmentationLadder) -> Markup:
    rungs = ladder.rungs
    judged = counted(ladder.images, IMAGES_OF[ladder.judged])
    return rungs_plot(
        [rung.rung for rung in rungs],
        Panel(
            "How good the maps are",
            f"mean IoU on {judged}, with its 95 % interval",
            [rung.mean_iou for rung in rungs],
            [percent(rung.mean_iou) for rung in rungs],
        ),
        Panel(
            "How long a map takes",
            "seconds an image (logarithmic)",
            [rung.seconds_per_image for rung in rungs],
            [pace(rung.seconds_per_image) for rung in rungs],
        ),
        intervals=[rung.mean_iou_ci95 or (rung.mean_iou, rung.mean_iou) for rung in rungs],
        time_scale="log",
    )


def _panels(example: MapExample, ladder: SegmentationLadder) -> list[tuple[str, NDArray[np.uint8]]]:
    """(what it is, picture) from left to right: the image, its mask, and the rungs' maps."""
    height, width = example.truth.shape
    hw = fitted_hw((height, width), _SIDE)
    image = shrink_image(example.image, hw)
    masks = {"truth": example.truth} | {rung.rung: example.predicted[rung.rung] for rung in ladder.rungs}
    return [("image", image)] + [
        (name, outlined_overlay(image, shrink_mask(mask, hw), ladder.colours, alpha=_STRONG))
        for name, mask in masks.items()
    ]
