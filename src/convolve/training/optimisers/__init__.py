"""Optimisers by name; a recipe's `optimiser.options` are a builder's keyword-only parameters."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from convolve.registry import Registry


@dataclass(frozen=True, kw_only=True)
class OptimiserKind:
    """How to build an optimiser, and what to set where the user does not say.

    Attributes:
        build: `build(groups, lr, **options) -> Optimizer`; its keyword-only parameters are a recipe's options.
        lr: peak learning rate from random weights, for a batch of 128 images.
        tuning_lr: peak learning rate from pre-trained weights.
        weight_decay: penalty on weights.
    """

    build: Callable[..., Optimizer]
    lr: float
    tuning_lr: float
    weight_decay: float


OPTIMISERS: Registry[OptimiserKind] = Registry("optimiser", "convolve.training.optimisers")


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trained parameters: weights with the penalty, biases and scales of norm layers without.

    One-dimensional parameters are exactly the biases, and the scales and shifts of norm layers.

    Args:
        network: parameters with requires_grad=False are left out.
        weight_decay: lambda of the penalty lambda/2 * |W|^2.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: Iterable[dict[str, Any]] = (
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    )
    return [group for group in groups if group["params"]]
