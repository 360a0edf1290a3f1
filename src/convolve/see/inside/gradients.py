"""What every way of looking by derivatives starts from: images that can be differentiated by, and logits that can."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from convolve.errors import UserError
from convolve.see.inside.subject import Subject


@contextmanager
def recorded() -> Iterator[None]:
    """Within it torch records what derivatives need, whatever is switched off around it."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def variable(subject: Subject, images: Tensor) -> Tensor:
    """A copy of images (N, C, H, W) on the subject's device by which one can differentiate, within `recorded`."""
    return subject.compute.images(images.detach()).clone().requires_grad_()


def wanted_logits(subject: Subject, images: Tensor, wanted: Tensor) -> Tensor:
    """One logit of each image, recorded where torch records.

    Args:
        subject: what is looked into.
        images: (N, C, H, W) in [0, 1], on the subject's device.
        wanted: (N,) int64, of each the class.

    Returns:
        (N,), perhaps of another device and precision than the images: a fitted head has its own.

    Raises:
        UserError: they have no gradient, or are no numbers.
    """
    # A copy: a first layer that works in place must not change the images.
    logits = subject.logits(images.clone())
    if torch.is_grad_enabled() and not logits.requires_grad:
        raise UserError(
            "the network's head has no gradient: a forest and nearest neighbours answer in steps",
            "Occlusion works for every network: --only occlusion.",
        )
    # What comes out of inference mode cannot be recorded; a copy can.
    chosen = logits[torch.arange(len(images), device=logits.device), wanted.to(logits.device).clone()]
    check_numbers(chosen)
    return chosen


def check_numbers(values: Tensor) -> None:
    """Raise UserError if what a network has computed is no number somewhere."""
    if not bool(values.isfinite().all()):
        raise UserError(
            "the network's activations are no numbers (NaN or infinite)",
            "Its weights are damaged, or overflow on this image; train it again with a lower learning rate.",
        )
