"""Optimisers by name; a recipe's `optimiser.options` are a builder's keyword-only parameters."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from convolve.registry import Registry

OPTIMISERS: Registry[Callable[..., Optimizer]] = Registry("optimiser", "convolve.training.optimisers")
"""`build(parameter_groups, lr, **options) -> Optimizer`."""


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
