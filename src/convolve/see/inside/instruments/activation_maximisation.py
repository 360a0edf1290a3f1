"""Images that the network answers to more and more, climbed to from noise."""

from typing import Annotated

import numpy as np
from pydantic import Field

from convolve.errors import shown
from convolve.see.inside.activation_maximisation import STEPS, Climbed, maximise
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.subject import Subject

_MOST_CLASSES = 6


def activation_maximisation(
    subject: Subject, look: Look, *, steps: Annotated[int, Field(ge=1, le=2048)] = STEPS
) -> Panel:
    """An image for each class, the first six of more; or for each unit asked for.

    Args:
        subject: what is looked into.
        look: with a layer and units, these are climbed to instead of classes; its seed.
        steps: of the climb.

    Raises:
        UserError: units without a layer or a layer without units; there is no such layer or unit; no gradient.
    """
    of_units = look.layer is not None and bool(look.units)
    wanted = list(dict.fromkeys(look.units) if of_units else range(min(len(subject.classes), _MOST_CLASSES)))
    climbed = maximise(
        subject,
        wanted,
        layer=look.layer if of_units else None,
        steps=steps,
        seed=look.seed,
        progress=look.progress,
    )
    names = [f"unit {unit}" for unit in wanted] if of_units else [subject.classes[number] for number in wanted]
    what = f"the mean of a unit's map in layer {look.layer}" if of_units else "a class's logit"
    fell = [name for name, (before, after) in _reached(climbed, names).items() if after <= before]
    unmoved = f" In so many steps it did not rise for {shown(fell)}." if fell else ""
    left = len(subject.classes) - len(wanted)
    rest = "" if of_units or left <= 0 else f" The first {len(wanted)} classes; {left} more are left out."
    return Panel(
        title="Activation maximisation",
        words=f"Images made from noise, in {steps} steps of gradient ascent, so that {what} is large. They show what "
        "raises it, not what images of the kind look like. The image is moved by a few pixels at each step and coarse "
        f"waves change faster than fine ones, else it would be noise.{rest}{unmoved}",
        pictures=_pictures(climbed, names, wanted, kind="unit" if of_units else "class"),
        table=(("image of", "start", "end"), _rows(climbed, names)),
        numbers={"steps": steps, "layer": look.layer if of_units else None, "reached": _reached(climbed, names)},
        source="Erhan et al., Visualizing higher-layer features of a deep network, 2009; Simonyan et al., 2013; "
        "regularised as in Olah et al., Feature visualization, Distill 2017",
    )


def _pictures(climbed: Climbed, names: list[str], wanted: list[int], *, kind: str) -> list[Picture]:
    pixels = (climbed.images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return [
        Picture(
            pixels=np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3))),
            name=f"{kind}-{number}",
            caption=f"{name}: {before:.2f} to {after:.2f}",
        )
        for image, name, number, before, after in zip(pixels, names, wanted, climbed.before, climbed.after, strict=True)
    ]


def _rows(climbed: Climbed, names: list[str]) -> list[list[str]]:
    return [
        [name, f"{before:.2f}", f"{after:.2f}"]
        for name, before, after in zip(names, climbed.before, climbed.after, strict=True)
    ]


def _reached(climbed: Climbed, names: list[str]) -> dict[str, list[float]]:
    return {name: [before, after] for name, before, after in zip(names, climbed.before, climbed.after, strict=True)}


INSTRUMENTS.add(
    "activation-maximisation",
    Instrument(
        name="activation-maximisation",
        order=40,
        about="images made from noise that a class, or a unit, answers to strongly",
        of="network",
        run=activation_maximisation,
    ),
)
