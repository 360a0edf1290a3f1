"""What reads outputs off features, kind by kind, and how to build each again from a file's tensors: no pickle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from convolve.registry import Registry

OWN_HEAD = "own"
"""The kind of a head that the architecture itself builds."""


@dataclass(frozen=True)
class HeadKind:
    """One kind of head.

    Attributes:
        module: its class.
        from_tensors: `from_tensors(tensors, features=D, outputs=K)`: a head from its state_dict; raises KeyError,
            TypeError or ValueError if the tensors are not those of such a head.
    """

    module: type[nn.Module]
    from_tensors: Callable[..., nn.Module]


HEADS: Registry[HeadKind] = Registry("kind of head", "convolve.networks.heads")


def kind_of_head(head: nn.Module) -> str:
    """The name of a head's kind, for a model file's description."""
    return next((name for name in HEADS if type(head) is HEADS[name].module), OWN_HEAD)


def rebuild_head(kind: str, tensors: Mapping[str, Tensor], *, features: int, outputs: int) -> nn.Module:
    """A head from its tensors.

    Args:
        kind: as `kind_of_head` says.
        tensors: its state_dict.
        features: D.
        outputs: K.

    Raises:
        UserError: there is no such kind.
        KeyError, TypeError, ValueError: the tensors are not those of such a head.
    """
    return HEADS[kind].from_tensors(tensors, features=features, outputs=outputs)
