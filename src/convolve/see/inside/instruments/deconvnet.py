"""Zeiler and Fergus: what in the image a unit answers to."""

from typing import Annotated

from pydantic import Field

from convolve.see.inside.deconvnet import Passed, late_middle_layer, project_units
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.layers import no_maps
from convolve.see.inside.panel import Panel
from convolve.see.inside.projection_pictures import idle_in_words, passed_in_words, unit_pictures
from convolve.see.inside.subject import Question, Subject


def deconvnet(
    subject: Subject, question: Question, look: Look, *, strongest: Annotated[int, Field(ge=1, le=64)] = 6
) -> Panel:
    """The strongest activation of units of a layer, carried back to the pixels.

    Args:
        subject: what is looked into.
        question: whose image.
        look: its layer, else one late in the middle; its units, else the most active.
        strongest: how many units, where none are named.

    Raises:
        UserError: there are no maps, or no such layer or unit.
    """
    layer = look.layer or late_middle_layer(subject)
    if layer is None:
        raise no_maps()
    projections, passed = project_units(subject, question.image, layer, look.units, strongest=strongest)
    units = [projection.unit for projection in projections]
    guided = project_units(subject, question.image, layer, units, rule="guided")[0] if units else []
    which = "the units asked for" if look.units else "its most active units on this image"
    nothing = "" if projections else " None of its units is active on this image."
    return Panel(
        title="Deconvolutional network",
        words=f"Layer {layer}, {which}: the strongest place of each unit's map, all others 0, carried back to the "
        "pixels through transposed kernels, unpooling at the recorded switches, and ReLU of what comes back; then the "
        "same guided, which also keeps to what was active on the way up; and the part of the image that it came from. "
        f"Grey is nothing; contrast is stretched, picture by picture.{_no_switches(passed)}"
        f"{nothing}{idle_in_words(projections)}{passed_in_words(passed)}",
        pictures=unit_pictures(question, {"deconvnet": projections, "guided": guided}),
        columns=3,
        numbers={
            "layer": layer,
            "activations": {str(projection.unit): projection.activation for projection in projections},
            "not_active": [projection.unit for projection in projections if not projection.active],
        },
        source="Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014",
    )


def _no_switches(passed: Passed) -> str:
    if passed.switches or passed.others:
        return ""
    return (
        " The network has no maximum pooling, so the first of the three does not depend on the image but for the place "
        "and the strength: it is the unit's own pattern."
    )


INSTRUMENTS.add(
    "deconvnet",
    Instrument(
        name="deconvnet",
        order=40,
        about="what in the image the strongest units of a layer answer to, carried back to the pixels",
        of="image",
        run=deconvnet,
    ),
)
