"""The loss of a network that has auxiliary classifiers: its own, and a share of each of theirs."""

from collections.abc import Callable

from torch import Tensor, nn

from convolve.networks.auxiliaries import AllOutputs
from convolve.networks.network import Network
from convolve.training.task import Objective


def training_form(network: nn.Module, task: Objective) -> tuple[nn.Module, Callable[[Tensor, Tensor], Tensor]]:
    """What a step of training runs in place of the network, over the same parameters, and the losses of its outputs.

    Args:
        network: itself where it has no auxiliary classifiers, else `AllOutputs` of it.
        task: gives the losses (N,) of one set of outputs (N, K).

    Returns:
        (module, losses); `losses(module(images), targets)` is (N,).
    """
    if not isinstance(network, Network) or network.auxiliaries is None:
        return network, task.losses
    weight = network.auxiliaries.weight

    def losses(outputs: Tensor, targets: Tensor) -> Tensor:
        own, *auxiliary = (task.losses(one, targets) for one in outputs.unbind(dim=1))
        return own + weight * sum(auxiliary)

    return AllOutputs(network.backbone, network.head, network.auxiliaries), losses


def drop_auxiliaries(network: nn.Module) -> None:
    """Leave out the auxiliary classifiers, which predictions have no use for, once training is over."""
    if isinstance(network, Network):
        network.auxiliaries = None
