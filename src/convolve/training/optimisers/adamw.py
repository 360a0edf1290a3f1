from typing import Annotated, Any

from pydantic import Field
from torch.optim import AdamW, Optimizer

from convolve.training.optimisers import OPTIMISERS


@OPTIMISERS.register("adamw")
def adamw(
    groups: list[dict[str, Any]],
    lr: float,
    *,
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999,
) -> Optimizer:
    """Adam with decoupled weight decay: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019."""
    return AdamW(groups, lr=lr, betas=(beta1, beta2), fused=True)
