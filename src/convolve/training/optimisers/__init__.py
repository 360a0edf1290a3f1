"""Optimisers by name; a recipe's `optimiser.options` are a builder's keyword-only parameters."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from convolve.registry import Registry


class ClosureOptimiser(Optimizer, ABC):
    """An optimiser that asks for the loss, at several places within a step, and differentiates it itself.

    The training loop knows it by this class: it hands over a closure, and computes no gradients.
    """

    @abstractmethod
    def step(self, closure: Callable[[], Tensor]) -> float:  # type: ignore[override]
        """Change the parameters.

        Args:
            closure: the scalar loss at the parameters' present values, with the graph that it was computed by, but no
                backward pass. Between two calls of one step nothing else may change: the same images, the same
                dropout masks, no running statistics.

        Returns:
            The loss before the step, without any penalty.
        """


@dataclass(frozen=True, kw_only=True)
class OptimiserKind:
    """How to build an optimiser, and what to set where the user does not say.

    Attributes:
        build: `build(groups, lr, **options) -> Optimizer`; its keyword-only parameters are a recipe's options.
        lr: peak learning rate from random weights, for a batch of 128 images.
        tuning_lr: peak learning rate from pre-trained weights.
        weight_decay: penalty on weights.
        with_batch: whether the rate from random weights grows with the batch.
    """

    build: Callable[..., Optimizer]
    lr: float
    tuning_lr: float
    weight_decay: float
    with_batch: bool = True


OPTIMISERS: Registry[OptimiserKind] = Registry("optimiser", "convolve.training.optimisers")


def parameter_groups(
    network: nn.Module, weight_decay: float, lr_factors: Sequence[tuple[nn.Module, float]] = ()
) -> list[dict[str, Any]]:
    """The trained parameters: weights with the penalty, biases and scales of norm layers without.

    One-dimensional parameters are exactly the biases, and the scales and shifts of norm layers.

    Args:
        network: parameters with requires_grad=False are left out.
        weight_decay: lambda of the penalty lambda/2 * |W|^2.
        lr_factors: parts of the network that share no layer, and what multiplies the learning rate of each, as Caffe's
            `lr_mult`; what is in none of them has 1.

    Returns:
        Groups for an optimiser, each with its "lr_factor", which the training loop applies. Every part has groups of
        its own: what is unfrozen later has no momentum yet, and fused optimisers want that to hold for a whole group.
    """
    part_of = {parameter: number for number, (part, _) in enumerate(lr_factors) for parameter in part.parameters()}
    groups: dict[tuple[int | None, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            groups.setdefault((part_of.get(parameter), parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": weight_decay if penalised else 0.0,
            "lr_factor": 1.0 if part is None else lr_factors[part][1],
        }
        for (part, penalised), parameters in groups.items()
    ]
