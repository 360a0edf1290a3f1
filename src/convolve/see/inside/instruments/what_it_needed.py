"""What another answer would have needed, as a panel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from convolve.errors import UserError
from convolve.see.inside.counterfactual import (
    Contest,
    contest,
    gap_map,
    smallest_change,
    speakers,
    squares_that_flip,
)
from convolve.see.inside.heat import overlay, signed_picture, stretched
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.occlusion import Occluded, affordable_squares, occlude, spread
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.subject import Question, Subject, answer

_SPEAKERS = 5


def what_it_needed_panel(subject: Subject, question: Question, look: Look) -> Panel:
    """Compare the answer with the truth, or the next best, three ways: maps, a smallest change, covered squares.

    Args:
        subject: what is asked.
        question: the image, its truth where it is known.
        look: its layer is the one whose maps are asked who speaks for what.
    """
    probabilities = answer(subject, question)
    squares = affordable_squares(subject, question.image)
    occluded = occlude(subject, question.image, squares, layer=look.layer, progress=look.progress)
    between = contest(subject, question, occluded.whole)
    gap = float(between.gap(occluded.whole[None]))
    words = [_asked(subject, question, between, probabilities, gap)]
    pictures: list[Picture] = []
    numbers: dict[str, Any] = {"gap": gap, "given": between.given, "instead": between.instead}
    for part in (_speakers_part, _change_part):
        try:
            said, drawn, measured = part(subject, question, look, between)
        except UserError as error:
            said, drawn, measured = f"{error.problem[0].upper()}{error.problem[1:]}.", [], {}
        if said not in words:
            words.append(said)
        pictures += drawn
        numbers |= measured
    said, drawn, measured = _covered_part(question, occluded, between, _name(subject, between))
    return Panel(
        title="What another answer would have needed",
        words=" ".join([*words, said]),
        pictures=[*pictures, *drawn],
        columns=_SPEAKERS,
        numbers=numbers | measured,
        source="Moosavi-Dezfooli, Fawzi and Frossard, DeepFool, CVPR 2016; Zeiler and Fergus 2013, section 4.2",
    )


INSTRUMENTS.add(
    "what-it-needed",
    Instrument(
        name="what-it-needed",
        order=70,
        about="what the right answer, or the next best, would have needed",
        of="image",
        run=what_it_needed_panel,
    ),
)

_Part = tuple[str, list[Picture], dict[str, Any]]


def _name(subject: Subject, between: Contest) -> str:
    if between.instead is not None:
        return f"'{subject.classes[between.instead]}'"
    given = f"'{subject.classes[between.given]}'"
    return f"not {given}" if between.sign > 0 else given


def _asked(subject: Subject, question: Question, between: Contest, probabilities: Tensor, gap: float) -> str:
    given, other = f"'{subject.classes[between.given]}'", _name(subject, between)
    if between.instead is None:
        said = "yes" if between.sign > 0 else "no"
        return f"Asked whether this is {given}, the network says {said} by {gap:.2f} logits."
    role = "the right answer" if between.instead == question.truth else "the next best answer"
    return (
        f"The network says {given} ({float(probabilities[between.given]):.3f}); {role} is {other} "
        f"({float(probabilities[between.instead]):.3f}), {gap:.2f} logits behind. What would have made it {other}?"
    )


def _speakers_part(subject: Subject, question: Question, look: Look, between: Contest) -> _Part:
    found = speakers(subject, question, between, layer=look.layer)
    other = _name(subject, between)
    pictures, table = [], {}
    for sign, kind, words in ((1, "for", "for the answer given"), (-1, "against", f"for {other}")):
        signed = sign * found.totals
        units = [int(unit) for unit in signed.argsort(descending=True, stable=True)[:_SPEAKERS] if signed[unit] > 0]
        table[kind] = {str(unit): float(found.totals[unit]) for unit in units}
        for place, unit in enumerate(units):
            heat = (sign * found.places[unit]).clamp(min=0)
            caption = f"map {unit} speaks {words}: {float(signed[unit]):.2f} logits"
            pictures.append(Picture(pixels=overlay(question.picture, heat), name=f"{kind}-{place}", caption=caption))
    said = (
        f"Gradient times activation, map by map of '{found.layer}': the maps that speak most for the answer given, "
        f"then those for {other}, each where it does so. Without the first, or with more of the second, it would have "
        "changed."
    )
    return said, pictures, {"layer": found.layer, "speakers": table}


def _change_part(subject: Subject, question: Question, look: Look, between: Contest) -> _Part:
    look.progress("looking for the smallest change", 0, 1)
    found = smallest_change(subject, question, between)
    look.progress("looking for the smallest change", 1, 1)
    other = _name(subject, between)
    if found is None:
        return f"No small change that gives {other} was found by gradient steps.", [], {"change_rms": None}
    rounding = "it survives" if found.survives_rounding else "it does not survive"
    said = (
        f"A change of {found.rms:.2g} grey levels of 255 (root mean square), found in {found.steps} gradient steps, is "
        f"enough for {other}; {rounding} rounding to whole grey levels. It is an adversarial change: it shows how near "
        "the boundary is, not what a person would have to change."
    )
    largest = 255 * float(found.change.abs().max())
    caption = f"smallest change found, enlarged: middle grey is none, an end {largest:.2g} grey levels"
    pictures = [Picture(pixels=_drawable(stretched(found.change)), name="change", caption=caption)]
    return said, pictures, {"change_rms": found.rms, "change_survives_rounding": found.survives_rounding}


def _covered_part(question: Question, occluded: Occluded, between: Contest, other: str) -> _Part:
    squares = occluded.squares
    image_hw = (question.image.shape[1], question.image.shape[2])
    change, flips = gap_map(occluded, between), squares_that_flip(occluded, between)
    top, left = squares.places()[int(change.argmin())]
    place = f"at row {top}, column {left} ({float(change.min()):+.2f} logits)"
    pictures = [
        Picture(
            pixels=signed_picture(spread(change, squares, image_hw)),
            name="covered",
            caption=f"covering here helps {other} (blue) or the answer given (red); "
            f"at most {float(change.abs().max()):.2f} logits",
        )
    ]
    if bool(flips.any()):
        said = (
            f"Covering one square of {squares.side} x {squares.side} pixels gives {other} at {int(flips.sum())} of "
            f"{len(squares)} places; it helps most {place}."
        )
        pictures.append(
            Picture(
                pixels=overlay(question.picture, spread(flips.float(), squares, image_hw)),
                name="flips",
                caption=f"where a covered square gives {other}: share of the squares over a pixel that do",
            )
        )
    else:
        said = (
            f"Covering one square of {squares.side} x {squares.side} pixels never gives {other}; it helps most {place}."
        )
    return said, pictures, {"squares_that_flip": int(flips.sum()), "best_square_top_left": [top, left]}


def _drawable(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 1) as (H, W)."""
    return pixels if pixels.shape[2] == 3 else pixels[..., 0]
