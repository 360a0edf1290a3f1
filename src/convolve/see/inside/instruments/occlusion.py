"""Occlusion sensitivity as a panel."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import torch
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from convolve.see.inside.heat import overlay, signed_picture
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.occlusion import (
    Cover,
    Occluded,
    Squares,
    affordable_squares,
    occlude,
    occlusion_heat,
    probability_map,
)
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.subject import Question, Subject
from convolve.see.report.svg import chart_style, label, to_svg

_MOST_LABELS = 8
_OTHERS = "#BBBBBB"


def occlusion_panel(
    subject: Subject,
    question: Question,
    look: Look,
    *,
    side: int | None = None,
    stride: int | None = None,
    cover: Cover = "fill",
) -> Panel:
    """Cover the image square by square and see what becomes of the wanted class.

    Args:
        subject: what is asked.
        question: the image and the class.
        look: its layer is the one whose strongest map is watched.
        side: of the square, pixels; None = chosen, an eighth of the shorter side mostly, larger where a pass is costly.
        stride: pixels from place to place; None = chosen, a third to a half of the side.
        cover: with what the network sees as zero, or with middle grey.
    """
    squares = affordable_squares(subject, question.image, side=side, stride=stride)
    occluded = occlude(subject, question.image, squares, cover=cover, layer=look.layer, progress=look.progress)
    whole, covered = probability_map(subject, occluded, question.wanted)
    lowest = int(covered.argmin())
    top, left = squares.places()[lowest]
    wanted = subject.classes[question.wanted]
    heat = occlusion_heat(subject, occluded, question.wanted)
    return Panel(
        title="Occlusion",
        words=_words(squares, cover, wanted, whole, float(covered.min()), (top, left)),
        pictures=[
            Picture(
                pixels=_covered_picture(question, squares.side, (top, left), subject, cover),
                name="lowest",
                caption=f"the square that costs '{wanted}' most: {whole:.3f} becomes {float(covered.min()):.3f}",
            ),
            Picture(
                pixels=overlay(question.picture, heat),
                name="overlay",
                caption=f"mean fall of the probability of '{wanted}' over the squares that cover a pixel, "
                f"at most {float(heat.max()):.3g}",
            ),
            Picture(
                pixels=signed_picture(heat),
                name="signed",
                caption=f"the same of both signs: covering red costs '{wanted}', covering blue helps it",
            ),
        ],
        columns=3,
        charts=[_maps_chart(subject, occluded, covered, whole, wanted)],
        numbers={
            "probability": whole,
            "lowest": float(covered.min()),
            "lowest_top_left": [top, left],
            "highest": float(covered.max()),
            "labels": _label_counts(subject, occluded),
            "side": squares.side,
            "stride": squares.stride,
            "positions": len(squares),
        },
        source="Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2013, section 4.2",
    )


INSTRUMENTS.add(
    "occlusion",
    Instrument(
        name="occlusion",
        order=30,
        about="what the network answers when parts of the image are covered",
        of="image",
        run=occlusion_panel,
    ),
)


def _words(squares: Squares, cover: Cover, wanted: str, whole: float, lowest: float, place: tuple[int, int]) -> str:
    colour = "what the network sees as zero" if cover == "fill" else "middle grey"
    return (
        f"A square of {squares.side} x {squares.side} pixels in {colour} is moved over the image in steps of "
        f"{squares.stride} ({len(squares)} places), and the network is asked again each time. '{wanted}' has "
        f"probability {whole:.3f} with nothing covered and {lowest:.3f} at the lowest, with the square's top left "
        f"corner at row {place[0]}, column {place[1]}. The square makes edges of its own, and what is larger than it "
        "is never covered whole."
    )


def _covered_picture(
    question: Question, side: int, place: tuple[int, int], subject: Subject, cover: Cover
) -> NDArray[np.uint8]:
    top, left = place
    covered = question.image.clone()
    value = torch.tensor(subject.fill if cover == "fill" else (0.5,) * subject.channels)[:, None, None]
    covered[:, top : top + side, left : left + side] = value
    return replace(question, image=covered).picture


def _label_counts(subject: Subject, occluded: Occluded) -> dict[str, int]:
    counts = torch.bincount(occluded.logits.argmax(dim=2).flatten(), minlength=len(subject.classes))
    return {name: int(number) for name, number in zip(subject.classes, counts, strict=True) if number}


def _maps_chart(subject: Subject, occluded: Occluded, covered: Tensor, whole: float, wanted: str) -> Markup:
    """Zeiler and Fergus's maps, one number per place of the square."""
    watched = occluded.activation is not None
    with chart_style("occlusion"):
        figure = Figure(figsize=(9.6 if watched else 6.4, 3.1), layout="constrained")
        axes = figure.subplots(1, 3 if watched else 2)
        _draw(figure, axes[0], covered, f"probability of '{label(wanted)}'\nwhole image: {whole:.3f}")
        _draw_labels(axes[1], subject, occluded)
        if occluded.activation is not None and occluded.layer is not None:
            title = f"map {occluded.unit} of {label(occluded.layer.name)}\nwhole image: {occluded.whole_activation:.3g}"
            _draw(figure, axes[2], occluded.activation, title)
        return to_svg(figure, f"maps of the covered image: probability of {wanted}, most likely class, activation")


def _draw(figure: Figure, axes: Axes, values: Tensor, title: str) -> None:
    image = axes.imshow(values.numpy(), cmap="inferno", interpolation="nearest")
    figure.colorbar(image, ax=axes, shrink=0.8)
    _bare(axes, title)


def _draw_labels(axes: Axes, subject: Subject, occluded: Occluded) -> None:
    likeliest = occluded.logits.argmax(dim=2).numpy()
    found, counts = np.unique(likeliest, return_counts=True)
    common = found[np.argsort(-counts, kind="stable")][:_MOST_LABELS]
    palette = [mpl.colormaps["tab10"](place) for place in range(len(common))]
    colours = dict(zip(map(int, common), palette, strict=True))
    pixels = np.array([[mpl.colors.to_rgb(colours.get(int(number), _OTHERS)) for number in row] for row in likeliest])
    axes.imshow(pixels, interpolation="nearest")
    patches = [Patch(color=colour, label=label(subject.classes[number])) for number, colour in colours.items()]
    if len(found) > len(common):
        patches.append(Patch(color=_OTHERS, label=f"{len(found) - len(common)} others"))
    axes.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, fontsize=7)
    _bare(axes, "most likely class\n")


def _bare(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
