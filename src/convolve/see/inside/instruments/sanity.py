"""Maps of the network with other weights, as a panel."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from convolve.see.inside.grad_cam import deciding_layer, grad_cam
from convolve.see.inside.gradients import recorded, variable, wanted_logits
from convolve.see.inside.heat import overlay
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.randomised import Share, randomised, rank_correlation
from convolve.see.inside.subject import Question, Subject

_SHARES: dict[Share, str] = {"top": "last layer shuffled", "all": "all layers shuffled"}


def sanity_panel(
    subject: Subject, question: Question, look: Look, *, draws: Annotated[int, Field(ge=1, le=100)] = 5
) -> Panel:
    """Grad-CAM of the same network with its weights shuffled: a map that stays the same is not about the network.

    Args:
        subject: what is asked.
        question: the image and the class.
        look: its layer is Grad-CAM's; its seed draws the orders of the weights.
        draws: how often; the pictures show the first.
    """
    layer = deciding_layer(subject, look.layer)
    before = _maps(subject, question, layer)
    pictures = [Picture(pixels=overlay(question.picture, before[0]), name="trained", caption="as trained")]
    rows, numbers = [], {}
    for share, words in _SHARES.items():
        correlations = []
        for draw in range(draws):
            after = _maps(randomised(subject, look.seed + draw, share=share), question, layer)
            correlations.append([rank_correlation(old, new) for old, new in zip(before, after, strict=True)])
            if draw == 0:
                pixels = overlay(question.picture, after[0])
                caption = f"{words}: rank correlation {correlations[0][0]:.2f}"
                pictures.append(Picture(pixels=pixels, name=f"shuffled-{share}", caption=caption))
            look.progress("shuffling weights", draw + 1, draws)
        cam, gradient = np.median(correlations, axis=0)
        rows.append([words, f"{cam:.2f}", f"{gradient:.2f}"])
        numbers[share] = {"grad_cam": float(cam), "gradient": float(gradient)}
    return Panel(
        title="Sanity check: the same map of shuffled weights",
        words=(
            f"Grad-CAM at '{layer}' for '{subject.classes[question.wanted]}', and the same after the weights of the "
            "last layer, or of all layers, have changed places. A map that shows what the network has learned must "
            "change; one that stays shows the image, or the architecture. The table has Spearman's rank correlation "
            f"with the map of the trained network, the median of {draws} shuffles: 1 is unchanged, about 0 another map."
        ),
        pictures=pictures,
        columns=3,
        table=(["weights", "Grad-CAM", "size of the gradient"], rows),
        numbers={"rank_correlation": numbers, "layer": layer, "draws": draws},
        source="Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018, section 3",
    )


INSTRUMENTS.add(
    "sanity",
    Instrument(
        name="sanity",
        order=85,
        about="Grad-CAM of the same network with its weights shuffled: does the map change?",
        of="image",
        run=sanity_panel,
    ),
)


def _maps(subject: Subject, question: Question, layer: str) -> tuple[Tensor, Tensor]:
    """Grad-CAM (h, w), and the largest size over the channels of the logit's gradient at each pixel (H, W)."""
    wanted = torch.tensor([question.wanted])
    with recorded():
        image = variable(subject, question.image[None])
        (gradient,) = torch.autograd.grad(wanted_logits(subject, image, wanted).sum(), image)
    return grad_cam(subject, question.image[None], wanted, layer)[0], gradient[0].abs().amax(dim=0).cpu()
