"""Images that a class or a unit answers to more and more: climbed to, from noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from convolve.progress import Progress, silent
from convolve.randomness import numpy_generator, torch_randomness
from convolve.see.inside.gradients import check_numbers, recorded, wanted_logits
from convolve.see.inside.layers import captured, check_unit, find_layer
from convolve.see.inside.subject import Subject

STEPS = 32
# Of the side: by so much the image is moved at each step, at most.
_JITTER = 1 / 16
_RATE, _SPREAD, _DECAY = 0.05, 0.01, 0.1
# Of photographs amplitudes fall about as 1 / frequency (Field, J. Opt. Soc. Am. A 4, 1987); somewhat more is calmer.
_FALL = 1.5
# Channels of photographs differ less from their mean than it varies.
_COLOUR = 0.4


@dataclass(frozen=True, kw_only=True)
class Climbed:
    """Images and what they reach.

    Attributes:
        images: (N, C, H, W) float32 on the CPU, in [0, 1].
        before: of each, the logit or the unit's mean activation at the start, which is faint noise on grey.
        after: at the end.
    """

    images: Tensor
    before: tuple[float, ...]
    after: tuple[float, ...]


def maximise(
    subject: Subject,
    wanted: Sequence[int],
    *,
    layer: str | None = None,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress = silent,
) -> Climbed:
    """Climb from noise to images with a high logit, or a high mean of a unit's map: one image each, all in one batch.

    What is changed is the image's spectrum, long waves faster than short ones and brightness faster than colour; each
    step sees the image moved by up to 1/16 of its side, and pulls its spectrum towards 0: else noise wins that the
    network alone can see.

    Args:
        subject: what is looked into.
        wanted: N classes; with `layer`, N of its units.
        layer: with maps, a name within the subject's body.
        steps: of AdamW.
        seed: of the noise and the moves.
        progress: told of every step.

    Raises:
        UserError: there is no such layer or unit; there is no gradient, or activations are no numbers.

    Source: Erhan, Bengio, Courville and Vincent, "Visualizing higher-layer features of a deep network", 2009; Simonyan,
    Vedaldi and Zisserman, "Deep inside convolutional networks", 2013, section 2; jitter and the spectrum: Olah,
    Mordvintsev and Schubert, "Feature visualization", Distill 2017.
    """
    if layer is not None:
        found = find_layer(subject, layer)
        for unit in wanted:
            check_unit(found, unit)
    with recorded():
        spectrum = _noise(subject, len(wanted), seed)
        optimiser = torch.optim.AdamW([spectrum], lr=_RATE, weight_decay=_DECAY)
        for step in range(steps):
            images = _painted(spectrum, subject.image_hw)
            reached = _reached(subject, _moved(images, seed, step), wanted, layer)
            (spectrum.grad,) = torch.autograd.grad(-reached.sum(), spectrum)
            optimiser.step()
            progress("activation maximisation", step + 1, steps)
    with torch.no_grad():
        start, end = (_painted(each, subject.image_hw) for each in (_noise(subject, len(wanted), seed), spectrum))
        before, after = (_reached(subject, images, wanted, layer).tolist() for images in (start, end))
    return Climbed(images=end.float().cpu(), before=tuple(before), after=tuple(after))


def _reached(subject: Subject, images: Tensor, wanted: Sequence[int], layer: str | None) -> Tensor:
    """(N,) what is to be large."""
    chosen = torch.tensor(wanted)
    if layer is None:
        return wanted_logits(subject, images, chosen)
    with captured(subject.body, [layer]) as kept:
        subject.logits(images)
    maps = subject.upright(kept[layer])
    check_numbers(maps.detach())
    return maps[torch.arange(len(chosen)), chosen].mean(dim=(1, 2))


def _noise(subject: Subject, count: int, seed: int) -> Tensor:
    """(N, C, H, W // 2 + 1, 2) what is optimised: the spectrum as pairs of numbers, all frequencies on one scale."""
    height, width = subject.image_hw
    with torch_randomness(seed, "activation maximisation"):
        noise = torch.randn(count, subject.channels, height, width // 2 + 1, 2) * _SPREAD
    return noise.to(subject.compute.device).requires_grad_()


def _painted(spectrum: Tensor, hw: tuple[int, int]) -> Tensor:
    """(N, C, H, W) in (0, 1) of a spectrum."""
    longest = max(hw)
    down = torch.fft.fftfreq(hw[0], device=spectrum.device)[:, None] * longest
    across = torch.fft.rfftfreq(hw[1], device=spectrum.device) * longest
    # The mean of the image has no wavelength: it is as free as the longest wave.
    per_image = torch.hypot(down, across).clamp(min=1)
    scale = hw[0] * hw[1] / 2 * per_image**-_FALL
    waves: Tensor = torch.fft.irfft2(torch.view_as_complex(spectrum.contiguous()) * scale, s=hw)
    grey = waves.mean(dim=1, keepdim=True)
    return (grey + _COLOUR * (waves - grey)).sigmoid() if waves.shape[1] > 1 else waves.sigmoid()


def _moved(images: Tensor, seed: int, step: int) -> Tensor:
    rows, columns = (max(1, round(side * _JITTER)) for side in images.shape[2:])
    generator = numpy_generator(seed, "activation maximisation: jitter", step)
    by = (int(generator.integers(-rows, rows + 1)), int(generator.integers(-columns, columns + 1)))
    return images.roll(by, dims=(2, 3))
