"""Springenberg et al.: which edges of the image raise a class's logit."""

from convolve.see.inside.deconvnet import project_logit, project_units
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.layers import last_map_layer
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.projection_pictures import idle_in_words, passed_in_words, signal_picture, unit_pictures
from convolve.see.inside.subject import Question, Subject


def guided_backpropagation(subject: Subject, question: Question, look: Look) -> Panel:
    """The wanted class's logit carried back to the pixels by two rules; and units of a layer, where they are asked for.

    Args:
        subject: what is looked into.
        question: the image and the class.
        look: its layer and units add pictures of units: without a layer of the last one, without units of the most
            active.

    Raises:
        UserError: the logit has no gradient; there is no such layer or unit.
    """
    guided, passed = project_logit(subject, question.image, question.wanted, rule="guided")
    gradient, _ = project_logit(subject, question.image, question.wanted, rule="gradient")
    wanted = subject.classes[question.wanted]
    pictures = [
        Picture(pixels=signal_picture(guided), name="logit-guided", caption=f"{wanted}, guided"),
        Picture(pixels=signal_picture(gradient), name="logit-gradient", caption=f"{wanted}, the plain gradient"),
    ]
    words, numbers = "", {}
    if look.layer or look.units:
        layer = look.layer or last_map_layer(subject).name
        projections, _ = project_units(subject, question.image, layer, look.units, rule="guided")
        pictures += unit_pictures(question, {"guided": projections})
        words = f" Then units of layer {layer}, each beside its part of the image.{idle_in_words(projections)}"
        numbers = {"layer": layer, "activations": {str(unit.unit): unit.activation for unit in projections}}
    return Panel(
        title="Guided back-propagation",
        words=f"How the logit of {wanted} changes with each pixel: the guided one lets back through a ReLU only what "
        "is positive and arrives where the unit is active. Grey is nothing; contrast is stretched, picture by "
        "picture. Sharp edges say where the network looks, not why: such pictures change little with the class."
        f"{passed_in_words(passed)}{words}",
        pictures=pictures,
        columns=2,
        numbers={"class": wanted, "rectifiers": passed.rectifiers, **numbers},
        source="Springenberg, Dosovitskiy, Brox and Riedmiller, Striving for simplicity, ICLR 2015 workshop; "
        "on what it does not show Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018",
    )


INSTRUMENTS.add(
    "guided-backpropagation",
    Instrument(
        name="guided-backpropagation",
        order=50,
        about="which pixels raise the class's logit, by guided back-propagation and by the plain gradient",
        of="image",
        run=guided_backpropagation,
    ),
)
