"""Whether a map of what matters is right: what happens to the answer when the pixels it names are taken away.

Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018, section 4.1.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from convolve.errors import UserError
from convolve.randomness import numpy_generator
from convolve.see.inside.heat import resized
from convolve.see.inside.many_passes import Passes, many_passes
from convolve.see.inside.subject import Question, Subject

Onto: TypeAlias = Literal["blur", "fill"]
"""What insertion begins with: the image without what is small, or nothing but the subject's fill."""

# Of the shorter side.
_BLUR = 1 / 8


@dataclass(frozen=True)
class Curve:
    """The wanted class's probability while pixels are taken away, or given.

    Attributes:
        probabilities: (steps + 1,) float32, after shares 0, 1 / steps, ..., 1 of the pixels.
        area: under it by the trapezoid rule, the share of the pixels from 0 to 1; in [0, 1].
    """

    probabilities: Tensor
    area: float


def deletion(
    subject: Subject, question: Question, heat: Tensor, *, steps: int = 20, run: Passes | None = None
) -> Curve:
    """Take pixels away, the hottest first, and put the subject's fill in their place; low areas are good.

    Args:
        subject: what is asked.
        question: the image and the class.
        heat: (h, w) of any size, much = matters; brought to the image's size.
        steps: in equal shares of the pixels.
        run: what runs the subject's network, where many curves are drawn; None = made for this one.

    Raises:
        UserError: fewer than 1 step, or more than the image has pixels.
    """
    return _curve(subject, question, heat, steps, start=question.image, end=_nothing(subject, question), run=run)


def insertion(
    subject: Subject,
    question: Question,
    heat: Tensor,
    *,
    steps: int = 20,
    onto: Onto = "blur",
    run: Passes | None = None,
) -> Curve:
    """Put the pixels of the image, the hottest first, onto a blurred one; high areas are good.

    The blur is Gaussian, of a standard deviation of 1/8 of the shorter side: pixels on an image of one colour make
    edges that no image has. (The authors' program blurs by 5 pixels of 224, within 11 x 11.) Where colour alone
    decides, the blurred image gives the answer already, and only one of one colour leaves anything to insert.

    Args:
        subject: what is asked.
        question: the image and the class.
        heat: (h, w) of any size, much = matters; brought to the image's size.
        steps: in equal shares of the pixels.
        onto: what to begin with.
        run: what runs the subject's network, where many curves are drawn; None = made for this one.

    Raises:
        UserError: fewer than 1 step, or more than the image has pixels.
    """
    start = blurred(question.image) if onto == "blur" else _nothing(subject, question)
    return _curve(subject, question, heat, steps, start=start, end=question.image, run=run)


def blurred(image: Tensor) -> Tensor:
    """(C, H, W) without what is small; see `insertion`."""
    shorter = min(image.shape[1:])
    sigma = max(0.5, shorter * _BLUR)
    # Reflected at the edge, so no wider than the image.
    reach = min(round(2 * sigma) + 1, shorter - 1)
    soft: Tensor = gaussian_blur(image, [2 * reach + 1, 2 * reach + 1], [sigma, sigma])
    return soft


def random_heat(image_hw: tuple[int, int], *, cell: int, key: tuple[int | str, ...]) -> Tensor:
    """A map that knows nothing, to be better than: (H, W), smooth between uniform numbers `cell` pixels apart.

    As coarse as the maps it is compared with. Single random pixels would be another thing: noise all over the image,
    which misleads a network wherever it looks.

    Args:
        image_hw: height and width, pixels.
        cell: pixels.
        key: of what is drawn.
    """
    coarse = tuple(max(2, round(length / cell)) for length in image_hw)
    values = numpy_generator("random heat", *key).random(coarse)
    return resized(torch.from_numpy(values), image_hw)


def _nothing(subject: Subject, question: Question) -> Tensor:
    return torch.tensor(subject.fill)[:, None, None].expand_as(question.image)


def _curve(
    subject: Subject, question: Question, heat: Tensor, steps: int, *, start: Tensor, end: Tensor, run: Passes | None
) -> Curve:
    height, width = question.image.shape[1:]
    if not 1 <= steps <= height * width:
        raise UserError(f"steps={steps}: an image of {height} x {width} pixels takes 1 to {height * width}")
    full = heat if heat.shape == (height, width) else resized(heat, (height, width))
    # Stable: pixels of equal heat in reading order, on every machine.
    rank = torch.empty(height * width, dtype=torch.int64)
    rank[full.flatten().argsort(descending=True, stable=True)] = torch.arange(height * width)
    changed = rank.reshape(height, width)
    counts = [step * height * width // steps for step in range(steps + 1)]
    images = torch.stack([torch.where(changed < count, end, start) for count in counts])
    run = run or many_passes(subject, question.image, passes=len(images))
    probabilities = subject.probabilities(run(images))[:, question.wanted]
    return Curve(probabilities, float(torch.trapezoid(probabilities, dx=1 / steps)))
