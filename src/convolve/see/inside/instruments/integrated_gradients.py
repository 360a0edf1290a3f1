"""Sundararajan et al.: what each pixel adds to the logit."""

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from convolve.see.inside.heat import overlay, signed_picture
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.integrated_gradients import integrated_gradients
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.subject import Question, Subject


def integrated_gradients_panel(
    subject: Subject, question: Question, look: Look, *, steps: Annotated[int, Field(ge=2, le=1000)] = 50
) -> Panel:
    """Integrated gradients of the wanted class's logit, from an empty image.

    Args:
        subject: what is looked into.
        question: the image and the class.
        look: not heeded: the method has no layers.
        steps: between the empty image and this one.

    Raises:
        UserError: the logit has no gradient.
    """
    del look
    found = integrated_gradients(subject, question.image, question.wanted, steps=steps)
    wanted = subject.classes[question.wanted]
    size = _smoothing(question.image)
    rise, missed = found.logit - found.empty_logit, found.completeness_error
    return Panel(
        title="Integrated gradients",
        words=f"What each pixel adds to the logit of {wanted}, which is {found.empty_logit:.2f} of an empty image and "
        f"{found.logit:.2f} of this one. In {steps} steps the parts sum to {rise + missed:.2f}, where {rise:.2f} would "
        f"be all (error {missed:+.2g}). For the eye, channels are summed and the maps smoothed over {size} pixels.",
        pictures=[
            Picture(
                pixels=overlay(question.picture, _smoothed(found.attributions.abs().sum(dim=0), size)),
                name="over-image",
                caption="size of what a pixel adds or takes, over the image",
            ),
            Picture(
                pixels=signed_picture(_smoothed(found.attributions.sum(dim=0), size)),
                name="signed",
                caption=f"red speaks for {wanted}, blue against",
            ),
        ],
        columns=2,
        numbers={
            "class": wanted,
            "logit": found.logit,
            "empty_logit": found.empty_logit,
            "completeness_error": missed,
            "steps": steps,
        },
        source="Sundararajan, Taly and Yan, Axiomatic attribution for deep networks, ICML 2017; computed by Captum",
    )


def _smoothing(image: Tensor) -> int:
    """Pixels, an odd number: about a thirtieth of the shorter side."""
    return max(1, min(image.shape[1:]) // 60) * 2 + 1


def _smoothed(heat: Tensor, size: int) -> Tensor:
    smooth: Tensor = gaussian_blur(heat[None], [size, size])[0]
    return smooth


INSTRUMENTS.add(
    "integrated-gradients",
    Instrument(
        name="integrated-gradients",
        order=60,
        about="what each pixel adds to the class's logit, in parts that sum to all of it",
        of="image",
        run=integrated_gradients_panel,
    ),
)
