"""Training of the tour's own small networks: the whole data at every step, so that nothing but the start is random."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def descend(network: nn.Module, loss_of: Callable[[], Tensor], *, steps: int, rate: float) -> list[float]:
    """Train a network with Adam (Kingma and Ba, ICLR 2015); its weights are changed.

    Args:
        network: whose parameters move.
        loss_of: the loss of the network as it is now, a scalar tensor.
        steps: how many.
        rate: Adam's step size.

    Returns:
        The loss before each step.
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = loss_of()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses
