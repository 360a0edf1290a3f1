"""Whether a map is about what a network has learned: the same map of the same network with other weights.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 3: model parameter randomisation.
"""

import copy
from dataclasses import replace
from itertools import chain
from typing import Literal, TypeAlias

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.randomness import numpy_generator
from convolve.see.inside.subject import Subject

Share: TypeAlias = Literal["top", "all"]
"""Which weights are drawn anew: those of the last layer that has any, or of all layers."""


def randomised(subject: Subject, seed: int, *, share: Share = "all") -> Subject:
    """The subject with weights that know nothing; the original is left as it is.

    Every weight tensor keeps its numbers and loses their order. So, unlike freshly initialised ones, the weights have
    the sizes of the trained ones, and a difference of the maps is one of what was learned and not of scale. Statistics
    of batch norms stay.

    Args:
        subject: what is copied.
        seed: of the orders.
        share: which layers.

    Raises:
        UserError: the network has no weights.
    """
    # In one copy, so that the body stays a part of the network.
    network, body = copy.deepcopy((subject.network, subject.body))
    layers = [module for module in network.modules() if any(True for _ in _own_weights(module))]
    if not layers:
        raise UserError("the network has no weights that could be drawn anew")
    chosen = layers[-1:] if share == "top" else layers
    generator = numpy_generator("randomised weights", seed)
    with torch.no_grad():
        for weight in chain.from_iterable(_own_weights(layer) for layer in chosen):
            order = torch.from_numpy(generator.permutation(weight.numel())).to(weight.device)
            # Stride by stride: weights may lie in memory channels last.
            weight.copy_(weight.flatten()[order].reshape(weight.shape))
    return replace(subject, network=network, body=body)


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's correlation of two maps of one size, in [-1, 1]; 0 where one is the same everywhere.

    Raises:
        ValueError: the sizes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"maps of {tuple(first.shape)} and {tuple(second.shape)}")
    one, other = (heat.detach().cpu().double().flatten().numpy() for heat in (first, second))
    if one.min() == one.max() or other.min() == other.max():
        return 0.0
    return float(spearmanr(one, other).statistic)


def _own_weights(module: nn.Module) -> list[Tensor]:
    return [weight for weight in module.parameters(recurse=False) if weight.is_floating_point()]
