"""What reads outputs off features, kind by kind, and how to build each again from a file's tensors: no pickle."""

from collections.abc import Callable, Mapping, Sequence
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
        fitted: which of its tensors fitting computes, other than stored images and the scale of features; None = all.
    """

    module: type[nn.Module]
    from_tensors: Callable[..., nn.Module]
    fitted: Sequence[str] | None = None


HEADS: Registry[HeadKind] = Registry("kind of head", "convolve.networks.heads")


def kind_of_head(head: nn.Module) -> str:
    """The name of a head's kind, for a model file's description."""
    return next((name for name in HEADS if type(head) is HEADS[name].module), OWN_HEAD)


def fitted_numbers(head: nn.Module) -> int:
    """How many numbers of a head come from fitting; those of an architecture's own head are its parameters."""
    name = kind_of_head(head)
    names = None if name == OWN_HEAD else HEADS[name].fitted
    if names is None:
        return sum(parameter.numel() for parameter in head.parameters())
    tensors = head.state_dict()
    return sum(tensors[name].numel() for name in names)


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
