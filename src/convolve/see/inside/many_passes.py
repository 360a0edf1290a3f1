"""Hundreds of passes of one image's variants through a subject, by the fastest engine at hand."""

from collections.abc import Callable
from itertools import count
from typing import TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convolve.progress import Progress, silent
from convolve.see.inside.subject import Subject
from convolve.training.engines import AT_ONCE
from convolve.training.engines.choice import checked_runner
from convolve.training.features import module_digest

Passes: TypeAlias = Callable[[Tensor], Tensor]
"""(N, C, H, W) images in [0, 1], any N -> (N, K) float32 on the CPU, without gradients."""

# Multiply-adds of all passes. Converting a network for an engine takes seconds, in which torch is done with less.
_WORTH_CONVERTING = 50e9
# Values of a batch of images: small images go many at once.
_VALUES_AT_ONCE = 3 * 224 * 224 * AT_ONCE
# Multiply-adds that one instrument may spend where nobody says how many passes: a minute, or less, of two cores.
_AFFORDED = 500e9

_serials: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
_numbers = count()
_costs: WeakKeyDictionary[nn.Module, dict[torch.Size, int]] = WeakKeyDictionary()


def many_passes(
    subject: Subject,
    sample: Tensor,
    *,
    passes: int,
    around: tuple[str, nn.Module] | None = None,
    progress: Progress = silent,
) -> Passes:
    """What runs a subject's network on many images.

    Args:
        subject: its `compute` says where, and by what engine; an engine's outputs are compared with torch's first.
        sample: (C, H, W) in [0, 1], a real image, for that comparison.
        passes: about how many images there will be; few are not worth an engine's seconds of preparation.
        around: what to run in place of the subject's network, on the same normalised images: a module around it, and a
            name that no other module around it has.
        progress: told when torch stands in for an engine.
    """
    name, network = around or ("", subject.network)
    compute, normalised = subject.compute, subject.normalise(sample[None])
    if compute.engine != "torch" and passes * _multiply_adds(network, compute.images(normalised)) < _WORTH_CONVERTING:
        compute = compute.model_copy(update={"engine": "torch"})
    key = f"{identity(subject.network)}/{name}"
    run = checked_runner(network, normalised, compute, key=key, required=False, progress=progress)
    at_once = AT_ONCE if compute.engine != "torch" else min(256, max(AT_ONCE, _VALUES_AT_ONCE // sample.numel()))

    def passes_of(images: Tensor) -> Tensor:
        return torch.cat([run(subject.normalise(some)).float() for some in torch.split(images, at_once)])

    return passes_of


def affordable_passes(subject: Subject, image: Tensor, *, most: int, least: int) -> int:
    """How many passes of an image's size are worth their time: `most` of a light network, fewer of a costly one.

    Args:
        subject: its network's multiply-adds are counted, so that the number is the same on every machine.
        image: (C, H, W).
        most: of a light network.
        least: of any.
    """
    cost = _multiply_adds(subject.network, subject.compute.images(subject.normalise(image[None])))
    return max(least, min(most, int(_AFFORDED / max(1, cost))))


def identity(network: nn.Module) -> str:
    """Of one network object with its present weights.

    Two networks with equal layers and weights may still ask about different boxes or regions of an image.
    """
    serial = _serials.setdefault(network, -1)
    if serial < 0:
        serial = _serials[network] = next(_numbers)
    return f"{serial}/{module_digest(network)}"


def _multiply_adds(network: nn.Module, image: Tensor) -> int:
    known = _costs.setdefault(network, {})
    if image.shape not in known:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(image)
        known[image.shape] = int(counter.get_total_flops()) // 2
    return known[image.shape]
