"""Where in an image the maps of a layer speak for a class."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.see.inside.gradients import recorded, variable, wanted_logits
from convolve.see.inside.layers import captured, find_layer, map_layers, no_maps
from convolve.see.inside.subject import Subject

_AT_ONCE = 16


def grad_cam(subject: Subject, images: Tensor, wanted: Tensor, layer: str | None = None) -> Tensor:
    """ReLU(sum over maps c of mean(dy/dA_c) A_c), for the logit y of a class and the maps A of a layer.

    Where the answer is about a place, each unit counts by its own slope, ReLU(sum over c of dy/dA_c A_c): what is like
    the object but elsewhere has no say in it, and a mean slope would show it all the same (Draelos and Carin, "Use
    HiResCAM instead of Grad-CAM for faithful explanations", arXiv:2011.08891, 2020).

    Of mirrored or turned copies of an image, it is the mean of their maps, each moved back. A pass costs little more
    than an answer: nothing is recorded before the layer.

    Args:
        subject: what is looked into.
        images: (N, C, H, W) in [0, 1].
        wanted: (N,) int64, of each image the class.
        layer: with maps, a name within the subject's body; None = the last.

    Returns:
        (N, h, w) float32 on the CPU, from 0 up, of the layer's resolution; on the scale of the logits.

    Raises:
        UserError: there is no such layer or no maps at all; the answer does not depend on it; the logits have no
            gradient, or are no numbers.

    Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", ICCV
    2017, section 3.
    """
    name = deciding_layer(subject, layer)
    portions = zip(torch.split(images, _AT_ONCE), torch.split(wanted, _AT_ONCE), strict=True)
    return torch.cat([_of_batch(subject, some, classes, name) for some, classes in portions])


def deciding_layer(subject: Subject, layer: str | None = None) -> str:
    """The layer of this name, or the one that tells most: the last on which the answer depends, mostly.

    Raises:
        UserError: there is no such layer or no maps at all; the answer does not depend on it, or has no gradient.
    """
    layer = layer or subject.telling
    names = [find_layer(subject, layer).name] if layer else [found.name for found in map_layers(subject)]
    if not names:
        raise no_maps()
    empty = torch.tensor(subject.fill)[None, :, None, None].expand(1, -1, *subject.image_hw)
    with recorded(), captured(subject.body, names) as kept:
        logits = wanted_logits(subject, variable(subject, empty), torch.tensor([0]))
        slopes = torch.autograd.grad(logits.sum(), [kept[name] for name in names], allow_unused=True)
    used = {name: slope for name, slope in zip(names, slopes, strict=True) if slope is not None}
    if not used:
        raise UserError(f"the answer does not depend on layer '{layer}'", "Choose another one, or none.")
    # Of the maps of a pyramid a region is read from one. That slopes are 0 may also be the empty image's doing.
    return next((name for name in reversed(used) if bool(used[name].any())), [*used][-1])


def _of_batch(subject: Subject, images: Tensor, wanted: Tensor, layer: str) -> Tensor:
    with recorded(), _from_layer_on(subject.body, layer) as kept:
        logits = wanted_logits(subject, subject.compute.images(images.detach()), wanted)
        (slopes,) = torch.autograd.grad(logits.sum(), kept)
    maps = kept[0].detach()
    weights = slopes if subject.of_a_place else slopes.mean(dim=(2, 3), keepdim=True)
    speaking = (weights * maps).sum(dim=1, keepdim=True).relu()
    return subject.upright(speaking)[:, 0].float().cpu()


@contextmanager
def _from_layer_on(body: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Within it derivatives are recorded from a layer's output on, which is the one entry of what it gives."""
    kept: list[Tensor] = []

    def start(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        kept[:] = [output.detach().clone().requires_grad_()]
        # What follows may work in place, which torch forbids on what one differentiates by.
        return kept[0].clone()

    hook = body.get_submodule(name).register_forward_hook(start)
    try:
        with torch.no_grad():
            yield kept
    finally:
        hook.remove()
