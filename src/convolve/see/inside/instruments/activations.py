"""Activation maps per layer."""

from typing import Annotated

from pydantic import Field

from convolve.see.inside.activations import Activations, activations
from convolve.see.inside.contact_sheet import contact_sheet, labelled, sized
from convolve.see.inside.heat import as_picture, signed_picture
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.subject import Question, Subject

_SIDE, _COLUMNS = 112, 6


def _run(subject: Subject, question: Question, look: Look, *, most: Annotated[int, Field(ge=1, le=64)] = 12) -> Panel:
    """The strongest maps of each resolution, or of the layer that was asked for.

    Args:
        subject: with maps.
        question: its image.
        look: the layer and its units.
        most: units of a layer, where none are asked for.
    """
    found = activations(subject, question.image, layer=look.layer, units=look.units, most=most)
    return Panel(
        title="Activation maps",
        words=_words(found, asked=bool(look.units)),
        pictures=[_sheet(number, one) for number, one in enumerate(found)],
        columns=1,
        table=(("layer", "maps", "size", "largest value", "units silent on this image", "zeros"), _rows(found)),
        numbers={
            one.layer.name: {
                "units": list(one.units),
                "largest": one.largest,
                "silent": one.silent,
                "zeros": one.zeros,
            }
            for one in found
        },
        source="Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2013",
    )


def _sheet(number: int, found: Activations) -> Picture:
    draw = signed_picture if found.signed else as_picture
    tiles = [labelled(sized(draw(heat), _SIDE), str(unit)) for unit, heat in zip(found.units, found.maps, strict=True)]
    height, width = found.layer.map_hw
    return Picture(
        pixels=contact_sheet(tiles, _COLUMNS, gap=4),
        name=f"activations-{number + 1}",
        caption=f"layer '{found.layer.name}': {len(tiles)} of {found.layer.maps} maps of {height} x {width}, "
        "above each the number of its unit",
    )


def _rows(found: tuple[Activations, ...]) -> list[tuple[str, ...]]:
    return [
        (
            one.layer.name,
            str(one.layer.maps),
            f"{one.layer.map_hw[0]} x {one.layer.map_hw[1]}",
            f"{one.largest:.3g}",
            f"{one.silent} of {one.layer.maps}",
            f"{one.zeros:.0%}",
        )
        for one in found
    ]


def _words(found: tuple[Activations, ...], *, asked: bool) -> str:
    which = "the units asked for" if asked else "the units with the largest values, strongest first"
    where = f"layer '{found[0].layer.name}'" if len(found) == 1 else "the last layer at each resolution"
    signed = any(one.signed for one in found)
    plain = any(not one.signed for one in found)
    scales = ["from black (0) to yellow (its own largest value)"] * plain
    scales += ["white at 0, red above, blue below, where a layer has values below zero"] * signed
    quiet = [one for one in found if one.silent == one.layer.maps]
    silence = f" Layer '{quiet[0].layer.name}' is silent: no unit of it is above zero on this image." if quiet else ""
    return (
        f"What {where} answers to this image: {which}. Each map has a scale of its own, {'; '.join(scales)}. "
        f"A unit is silent where no place of its map is above zero.{silence}"
    )


INSTRUMENTS.add(
    "activations",
    Instrument(
        name="activations",
        order=20,
        about="the strongest activation maps of each layer, and how many units are silent",
        of="image",
        run=_run,
    ),
)
