from typing import Annotated, Any

from pydantic import Field
from torch.optim import SGD, Optimizer

from convolve.training.optimisers import OPTIMISERS, OptimiserKind


def sgd(
    groups: list[dict[str, Any]],
    lr: float,
    *,
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    nesterov: bool = True,
) -> Optimizer:
    """Stochastic gradient descent with momentum, in PyTorch's form: v = m v + g; w -= lr v.

    Nesterov's look-ahead as Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """
    return SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov and momentum > 0, fused=True)


OPTIMISERS.add("sgd", OptimiserKind(build=sgd, lr=0.1, tuning_lr=0.005, weight_decay=5e-4))
