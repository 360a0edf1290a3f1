"""Deletion and insertion curves as a panel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from convolve.errors import UserError
from convolve.see.inside.faithfulness import Curve, Onto, blurred, deletion, insertion, random_heat
from convolve.see.inside.grad_cam import grad_cam
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.many_passes import Passes, affordable_passes, many_passes
from convolve.see.inside.occlusion import affordable_squares, occlude, occlusion_heat
from convolve.see.inside.panel import Panel
from convolve.see.inside.subject import Question, Subject
from convolve.see.report.svg import BLUE, GREY, ORANGE, chart_style, to_svg

# Of the whole image's probability: what a blurred image may have at most, if inserting is to show anything.
_MOSTLY = 0.8
# Steps and random orders; and of a network of which so many passes would take minutes.
_USUAL, _FRUGAL = (16, 10), (8, 5)
_COLOURS = (BLUE, ORANGE)


@dataclass(frozen=True)
class _Curves:
    deleted: Curve
    inserted: Curve


def faithfulness_panel(
    subject: Subject,
    question: Question,
    look: Look,
    *,
    steps: Annotated[int, Field(ge=1)] | None = None,
    randoms: Annotated[int, Field(ge=1)] | None = None,
) -> Panel:
    """Take away, and give, the pixels that occlusion's and Grad-CAM's maps name first; compare with random orders.

    Args:
        subject: what is asked.
        question: the image and the class.
        look: its layer is Grad-CAM's; its seed draws the random orders.
        steps: of each curve; None = 16, of a costly network 8.
        randoms: how many random orders; None = 10, of a costly network 5.
    """
    image_hw = (question.image.shape[1], question.image.shape[2])
    squares = affordable_squares(subject, question.image)
    occluded = occlude(subject, question.image, squares, layer=look.layer, progress=look.progress)
    heats = {"occlusion": occlusion_heat(subject, occluded, question.wanted)}
    remark = ""
    try:
        heats["Grad-CAM"] = grad_cam(subject, question.image[None], torch.tensor([question.wanted]), look.layer)[0]
    except UserError as error:
        remark = f" Grad-CAM is left out: {error.problem}."
    wished = 2 * (_USUAL[0] + 1) * (len(heats) + _USUAL[1])
    frugal = affordable_passes(subject, question.image, most=wished, least=1) < wished
    usual_steps, usual_randoms = _FRUGAL if frugal else _USUAL
    steps, randoms = steps or usual_steps, randoms or usual_randoms
    orders: dict[str, Tensor] = dict(heats)
    for number in range(randoms):
        orders[f"random {number}"] = random_heat(image_hw, cell=squares.side, key=(look.seed, number))
    passes = 2 * (steps + 1) * len(orders)
    run = many_passes(subject, question.image, passes=passes, progress=look.progress)
    onto, beginning = _beginning(subject, question, run)
    curves: dict[str, _Curves] = {}
    for done, (name, heat) in enumerate(orders.items(), start=1):
        curves[name] = _Curves(
            deletion(subject, question, heat, steps=steps, run=run),
            insertion(subject, question, heat, steps=steps, onto=onto, run=run),
        )
        look.progress("deleting and inserting", done, len(orders))
    random = [curve for name, curve in curves.items() if name not in heats]
    found = {name: curves[name] for name in heats}
    return Panel(
        title="Are the maps right? Deletion and insertion",
        words=(
            f"Deletion takes the pixels away that a map names, the hottest first, and watches the probability of "
            f"'{subject.classes[question.wanted]}': the sooner it falls, the better the map. Insertion puts them onto "
            f"{beginning}: the sooner it rises, the better. "
            f"{' '.join(_verdict(name, curve, random) for name, curve in found.items())}{remark}"
        ),
        charts=[_chart(found, random, subject.classes[question.wanted])],
        table=_table(found, random),
        numbers={
            "areas": {
                name: {"deletion": curve.deleted.area, "insertion": curve.inserted.area}
                for name, curve in found.items()
            },
            "random": {
                "deletion": [curve.deleted.area for curve in random],
                "insertion": [curve.inserted.area for curve in random],
            },
            "steps": steps,
            "onto": onto,
        },
        source="Petsiuk, Das and Saenko, RISE, BMVC 2018, section 4.1",
    )


INSTRUMENTS.add(
    "faithfulness",
    Instrument(
        name="faithfulness",
        order=80,
        about="whether the maps name what the answer depends on: deletion and insertion against random orders",
        of="image",
        run=faithfulness_panel,
    ),
)


def _beginning(subject: Subject, question: Question, run: Passes) -> tuple[Onto, str]:
    """What insertion begins with, and that in words."""
    images = torch.stack([blurred(question.image), question.image])
    soft, sharp = subject.probabilities(run(images))[:, question.wanted].tolist()
    if soft > _MOSTLY * sharp:
        return "fill", f"a plain colour (the blurred image has probability {soft:.3f} already)"
    return "blur", "the blurred image"


def _beaten(curve: _Curves, random: list[_Curves]) -> tuple[int, int]:
    return (
        sum(curve.deleted.area < other.deleted.area for other in random),
        sum(curve.inserted.area > other.inserted.area for other in random),
    )


def _verdict(name: str, curve: _Curves, random: list[_Curves]) -> str:
    by_deletion, by_insertion = (2 * beaten > len(random) for beaten in _beaten(curve, random))
    if by_deletion and by_insertion:
        return f"The map of {name} is better than random by both."
    if by_deletion or by_insertion:
        good, bad = ("deletion", "insertion") if by_deletion else ("insertion", "deletion")
        return f"The map of {name} is better than random by {good}, but not by {bad}."
    return f"The map of {name} is no better than random: do not trust it here."


def _table(found: Mapping[str, _Curves], random: list[_Curves]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for name, curve in found.items():
        deleted, inserted = _beaten(curve, random)
        rows.append(
            [
                name,
                f"{curve.deleted.area:.3f}",
                f"{deleted} of {len(random)}",
                f"{curve.inserted.area:.3f}",
                f"{inserted} of {len(random)}",
            ]
        )
    medians = [np.median([getattr(curve, kind).area for curve in random]) for kind in ("deleted", "inserted")]
    rows.append(["random, median", f"{medians[0]:.3f}", "", f"{medians[1]:.3f}", ""])
    columns = ["map", "area, deletion (low is good)", "random orders beaten"]
    return [*columns, "area, insertion (high is good)", "random orders beaten"], rows


def _chart(found: Mapping[str, _Curves], random: list[_Curves], wanted: str) -> Markup:
    with chart_style("faithfulness"):
        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        _draw(left, {name: curve.deleted for name, curve in found.items()}, [curve.deleted for curve in random])
        _draw(right, {name: curve.inserted for name, curve in found.items()}, [curve.inserted for curve in random])
        left.set(title="deletion", xlabel="share of the pixels taken away", ylabel="probability", ylim=(-0.02, 1.02))
        right.set(title="insertion", xlabel="share of the pixels put back")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        return to_svg(figure, f"probability of {wanted} while pixels are taken away, and while they are given back")


def _draw(axes: Axes, found: Mapping[str, Curve], random: list[Curve]) -> None:
    several = torch.stack([curve.probabilities for curve in random]).numpy()
    shares = np.linspace(0, 1, several.shape[1])
    axes.fill_between(shares, several.min(axis=0), several.max(axis=0), color=GREY, alpha=0.18, linewidth=0)
    axes.plot(shares, np.median(several, axis=0), color=GREY, linestyle="--", label=f"{len(random)} random orders")
    for (name, curve), colour in zip(found.items(), _COLOURS, strict=False):
        axes.plot(shares, curve.probabilities.numpy(), color=colour, label=name)
