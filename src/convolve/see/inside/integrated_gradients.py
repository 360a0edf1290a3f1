"""How much each pixel adds to a logit, by parts that sum to all of it."""

from dataclasses import dataclass

import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from convolve.see.inside.gradients import recorded, variable, wanted_logits
from convolve.see.inside.subject import Subject

_AT_ONCE = 10


@dataclass(frozen=True, kw_only=True)
class Integrated:
    """What each value of an image adds to a logit.

    Attributes:
        attributions: (C, H, W) float32 on the CPU; their sum is about `logit - empty_logit`.
        logit: of the image.
        empty_logit: of an image that is the subject's `fill` all over.
    """

    attributions: Tensor
    logit: float
    empty_logit: float

    @property
    def completeness_error(self) -> float:
        """By how much the sum of the attributions misses what it should be; 0 with infinitely many steps."""
        return float(self.attributions.double().sum()) - (self.logit - self.empty_logit)


def integrated_gradients(subject: Subject, image: Tensor, wanted: int, *, steps: int = 50) -> Integrated:
    """The gradient of a logit, averaged along the line from an empty image to this one, times the way.

    Args:
        subject: what is looked into.
        image: (C, H, W) in [0, 1].
        wanted: the class.
        steps: points on the line, those of a Gauss-Legendre quadrature.

    Raises:
        UserError: the logit has no gradient, or is no number.

    Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017, sections 3 and 5.
    """

    def logits(images: Tensor) -> Tensor:
        return wanted_logits(subject, images, torch.full((len(images),), wanted))

    with recorded():
        pixels = variable(subject, image[None])
        empty = torch.tensor(subject.fill, device=pixels.device)[None, :, None, None].expand_as(pixels)
        attributions = IntegratedGradients(logits).attribute(
            pixels, empty, n_steps=steps, internal_batch_size=min(steps, _AT_ONCE)
        )
        ends = logits(torch.cat([pixels, empty])).tolist()
    return Integrated(attributions=attributions[0].detach().float().cpu(), logit=ends[0], empty_logit=ends[1])
