"""What in an image a unit, or a class, answers to: its activation carried back down to the pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convolve.see.inside.backward_rules import BackwardRule, Rule
from convolve.see.inside.gradients import check_numbers, recorded, variable, wanted_logits
from convolve.see.inside.layers import captured, check_unit, find_layer, map_layers
from convolve.see.inside.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A unit's strongest activation on an image, carried back to the pixels.

    Attributes:
        unit: its number within the layer.
        activation: the largest of its map.
        signal: (C, H, W) float32 on the CPU, on the scale of activation by pixel value; all 0 where the unit is not
            active.
    """

    unit: int
    activation: float
    signal: Tensor

    @property
    def active(self) -> bool:
        """Whether the unit answers to anything in the image."""
        return self.activation > 0


@dataclass(frozen=True, kw_only=True)
class Passed:
    """The activation functions on the way.

    Attributes:
        rectifiers: how many have the rule.
        switches: how many maximum poolings there are.
        others: names of those that have none, for which the plain derivative stands.
    """

    rectifiers: int
    switches: int
    others: tuple[str, ...]


def project_units(
    subject: Subject,
    image: Tensor,
    layer: str,
    units: Sequence[int] = (),
    *,
    rule: Rule = "deconvnet",
    strongest: int = 6,
) -> tuple[list[Projection], Passed]:
    """Carry the strongest activation of each of some units back to the image, all others of the layer being 0.

    Of a network that sees mirrored or turned copies of the image, the copy counts on which the unit is most active.

    Args:
        subject: what is looked into.
        image: (C, H, W) in [0, 1].
        layer: with maps, a name within the subject's body.
        units: which of its maps; empty = those that are most active on this image, and active at all.
        rule: at rectifiers; without any, all rules give the activation times the unit's gradient.
        strongest: how many, without units.

    Raises:
        UserError: there is no such layer or unit, or activations are no numbers.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 2.1.
    """
    found = find_layer(subject, layer)
    for unit in units:
        check_unit(found, unit)
    mode = BackwardRule(rule)
    with recorded(), captured(subject.body, [layer]) as kept:
        pixels = variable(subject, image[None])
        with mode:
            subject.logits(pixels.clone())
        maps = kept[layer]
        check_numbers(maps.detach())
        chosen = tuple(dict.fromkeys(units)) or _most_active(maps.detach(), strongest)
        projections = [_projected(pixels, maps, unit) for unit in chosen]
    return projections, _passed(mode)


def project_logit(subject: Subject, image: Tensor, wanted: int, *, rule: Rule = "guided") -> tuple[Tensor, Passed]:
    """Carry a class's logit back to the image: its derivative, but for the rule at rectifiers.

    Args:
        subject: what is looked into; it need not have maps.
        image: (C, H, W) in [0, 1].
        wanted: the class.
        rule: at rectifiers.

    Returns:
        (C, H, W) float32 on the CPU, logit by pixel value; and what was on the way.

    Raises:
        UserError: the logit has no gradient, or is no number.

    Source: Springenberg, Dosovitskiy, Brox and Riedmiller, "Striving for simplicity", ICLR 2015 workshop, section 3.4;
    with rule="gradient" Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2013, section 3.
    """
    mode = BackwardRule(rule)
    with recorded():
        pixels = variable(subject, image[None])
        with mode:
            logit = wanted_logits(subject, pixels, torch.tensor([wanted]))
        (signal,) = torch.autograd.grad(logit.sum(), pixels)
    return signal[0].float().cpu(), _passed(mode)


def late_middle_layer(subject: Subject) -> str | None:
    """The last layer of the second coarsest resolution: units of parts, where those of the last see whole images.

    None where the network has no maps.
    """
    layers = map_layers(subject)
    if not layers:
        return None
    coarsest = layers[-1].map_hw
    finer = [layer for layer in layers if layer.map_hw[0] > coarsest[0]]
    return (finer or layers)[-1].name


def _passed(mode: BackwardRule) -> Passed:
    return Passed(rectifiers=mode.rectifiers, switches=mode.switches, others=tuple(sorted(mode.others)))


def _most_active(maps: Tensor, count: int) -> list[int]:
    peaks, means = maps.amax(dim=(0, 2, 3)).tolist(), maps.mean(dim=(0, 2, 3)).tolist()
    # Many units of ReLU6 reach its 6: of these, those that do so in more places.
    order = sorted(range(len(peaks)), key=lambda unit: (peaks[unit], means[unit]), reverse=True)
    return [unit for unit in order[:count] if peaks[unit] > 0]


def _projected(pixels: Tensor, maps: Tensor, unit: int) -> Projection:
    values = maps.detach()[:, unit]
    copy, row, column = np.unravel_index(int(values.argmax()), values.shape)
    activation = float(values[copy, row, column])
    if activation <= 0:
        return Projection(unit=unit, activation=activation, signal=torch.zeros_like(pixels[0], device="cpu"))
    start = torch.zeros_like(maps)
    start[copy, unit, row, column] = activation
    (signal,) = torch.autograd.grad(maps, pixels, start, retain_graph=True)
    return Projection(unit=unit, activation=activation, signal=signal[0].float().cpu())
