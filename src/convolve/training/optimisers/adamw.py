from typing import Annotated, Any

from pydantic import Field
from torch.optim import AdamW, Optimizer

from convolve.training.optimisers import OPTIMISERS, OptimiserKind


def adamw(
    groups: list[dict[str, Any]],
    lr: float,
    *,
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999,
) -> Optimizer:
    """Adam with decoupled weight decay: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019."""
    return AdamW(groups, lr=lr, betas=(beta1, beta2), fused=True)


OPTIMISERS.add("adamw", OptimiserKind(build=adamw, lr=2e-3, tuning_lr=2e-4, weight_decay=0.02))
