"""What another answer would have needed: which maps speak for either, the smallest change, the square to cover."""

from dataclasses import dataclass

import torch
from torch import Tensor

from convolve.errors import UserError
from convolve.see.inside.grad_cam import deciding_layer
from convolve.see.inside.gradients import check_numbers, recorded, variable
from convolve.see.inside.layers import captured
from convolve.see.inside.occlusion import Occluded
from convolve.see.inside.subject import Question, Subject

# DeepFool's own: all steps together end a little behind the boundary; up to it they would grow smaller without end.
_OVERSHOOT = 0.02
_MOST_STEPS = 60
_HALVINGS = 12


@dataclass(frozen=True)
class Contest:
    """The answer that was given, and the one it is compared with.

    Attributes:
        given: the class answered, an index; of an image that may have several classes, the one asked about.
        instead: the class that should have been answered, or the next best; None = "not `given`", or `given` where the
            answer was no (an image may have several classes, each by itself).
        sign: +1, but -1 where the answer was that the image does not have class `given`.
    """

    given: int
    instead: int | None
    sign: int = 1

    def gap(self, logits: Tensor) -> Tensor:
        """(N, K) logits -> (N,): how much more speaks for what was answered, in logits; the two are equal at 0."""
        rival = logits[:, self.instead] if self.instead is not None else 0.0
        gap: Tensor = self.sign * (logits[:, self.given] - rival)
        return gap

    def flipped(self, logits: Tensor) -> Tensor:
        """(N, K) logits -> (N,) bool: whether the answer is now the other one."""
        return self.lead(logits) < 0

    def lead(self, logits: Tensor) -> Tensor:
        """(N, K) logits -> (N,): the strongest other class's over `instead`; below 0 the answer is `instead`."""
        if self.instead is None:
            return self.gap(logits)
        others = logits.clone()
        others[:, self.instead] = -torch.inf
        lead: Tensor = others.amax(dim=1) - logits[:, self.instead]
        return lead


@dataclass(frozen=True)
class Speakers:
    """What the maps of a layer say about a gap between two classes.

    Attributes:
        layer: its name.
        totals: (C,) float32, gradient x activation summed over each map: above 0 it speaks for the answer given.
        places: (C, h, w) float32, the same before the sum.
    """

    layer: str
    totals: Tensor
    places: Tensor


@dataclass(frozen=True)
class Change:
    """A small change of an image that changes the answer.

    Attributes:
        image: (C, H, W) float32 in [0, 1], changed.
        change: (C, H, W) float32, what was added.
        rms: root of its mean square, in grey levels of 255.
        steps: of the gradient.
        survives_rounding: whether a change a fiftieth larger, rounded to whole grey levels, changes the answer too.
    """

    image: Tensor
    change: Tensor
    rms: float
    steps: int
    survives_rounding: bool


def contest(subject: Subject, question: Question, logits: Tensor) -> Contest:
    """Who is compared: the answer with the truth where it is known and another; else with the next best.

    Args:
        subject: what is asked.
        question: its truth and, where an image may have several classes, its wanted class.
        logits: (K,) of its image.

    Raises:
        UserError: there is only one class.
    """
    if subject.several:
        return Contest(question.wanted, None, 1 if float(logits[question.wanted]) >= 0 else -1)
    if len(logits) < 2:
        raise UserError("the network knows one class only: there is no other answer")
    best, second = logits.topk(2).indices.tolist()
    return Contest(best, question.truth if question.truth is not None and question.truth != best else second)


def speakers(subject: Subject, question: Question, between: Contest, *, layer: str | None = None) -> Speakers:
    """How much each map of a layer adds to the gap: gradient x activation.

    Where nothing but a mean and a linear layer follow, the totals and the difference of the biases add up to the gap
    exactly; elsewhere it is the gap's first-order share.

    Args:
        subject: what is asked.
        question: the image.
        between: the two answers.
        layer: whose maps; None = the last with maps.

    Raises:
        UserError: the network has no maps or no such layer, or its head cannot be differentiated.
    """
    name = deciding_layer(subject, layer)
    with recorded(), captured(subject.body, [name]) as kept:
        gap = between.gap(_differentiable(subject, variable(subject, question.image[None])))
        (gradient,) = torch.autograd.grad(gap.sum(), kept[name])
    # Each mirrored or turned copy adds its share, and `upright` is their mean.
    copies = len(gradient)
    places = (subject.upright(gradient * kept[name].detach()) * copies)[0].float().cpu()
    return Speakers(name, places.sum(dim=(1, 2)), places)


def smallest_change(subject: Subject, question: Question, between: Contest) -> Change | None:
    """The nearest image, by gradient steps, for which the answer is the other one; None where none was found.

    Each step goes to where the answer would change if the network were linear, perpendicular to that boundary; then
    the change is shortened as far as the answer stays changed. Of a linear network this is the nearest image there is.

    Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool: a simple and accurate method to fool deep neural networks", CVPR
    2016, section 3, for one class in place of the nearest, and within the range of pixels.

    Args:
        subject: what is asked.
        question: the image.
        between: the answer, and the one to arrive at.

    Raises:
        UserError: the network's head cannot be differentiated.
    """
    start = question.image
    image, steps = start, torch.zeros_like(start)
    for step in range(1, _MOST_STEPS + 1):
        direction = _step(subject, image, between)
        if direction is None:
            return None
        steps = steps + direction
        image = (start + (1 + _OVERSHOOT) * steps).clamp(0, 1)
        if _is_flipped(subject, image, between):
            return _shortened(subject, start, image, between, step)
    return None


def squares_that_flip(occluded: Occluded, between: Contest) -> Tensor:
    """(R, Q) bool: the squares that, covered, give the other answer."""
    rows, columns, classes = occluded.logits.shape
    return between.flipped(occluded.logits.reshape(-1, classes)).reshape(rows, columns)


def gap_map(occluded: Occluded, between: Contest) -> Tensor:
    """(R, Q) by how much covering each square changes the gap, in logits; below 0 it helps the other answer."""
    rows, columns, classes = occluded.logits.shape
    covered = between.gap(occluded.logits.reshape(-1, classes)).reshape(rows, columns)
    return covered - between.gap(occluded.whole[None])


def _step(subject: Subject, image: Tensor, between: Contest) -> Tensor | None:
    """(C, H, W) to where a linear network's answer would change; None where the gradient is 0."""
    with recorded():
        asked = variable(subject, image[None])
        lead = between.lead(_differentiable(subject, asked))
        (gradient,) = torch.autograd.grad(lead.sum(), asked)
    square = float(gradient.square().sum())
    if not square > 0:
        return None
    # A hair more than 0, so that a tie is left too.
    return (-(float(lead.detach()) + 1e-6) / square * gradient[0]).cpu()


def _shortened(subject: Subject, start: Tensor, image: Tensor, between: Contest, steps: int) -> Change:
    least, most = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        if _is_flipped(subject, torch.lerp(start, image, middle), between):
            most = middle
        else:
            least = middle
    nearest = torch.lerp(start, image, most)
    change = nearest - start
    # At the boundary itself rounding decides by chance.
    rounded = ((start + (1 + _OVERSHOOT) * change).clamp(0, 1) * 255).round() / 255
    rms = 255 * float(change.square().mean().sqrt())
    return Change(nearest, change, rms, steps, _is_flipped(subject, rounded, between))


def _is_flipped(subject: Subject, image: Tensor, between: Contest) -> bool:
    with torch.inference_mode():
        return bool(between.flipped(subject.logits(subject.compute.images(image[None])))[0])


def _differentiable(subject: Subject, images: Tensor) -> Tensor:
    # A copy: a first layer that works in place must not change the images.
    logits = subject.logits(images.clone())
    if not logits.requires_grad:
        raise UserError(
            "the network's head has no gradient: a forest and nearest neighbours answer in steps",
            "Occlusion works for every network: --only occlusion.",
        )
    check_numbers(logits)
    return logits
