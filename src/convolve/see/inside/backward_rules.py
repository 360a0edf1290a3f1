"""What a rectifier does to the signal that comes back to it: the one thing in which three ways to see differ."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Rule: TypeAlias = Literal["gradient", "deconvnet", "guided"]


class BackwardRule(TorchFunctionMode):
    """Within it, networks are run as ever, but their rectifiers pass signals back by another rule.

    | rule | what comes back is passed where |
    |---|---|
    | gradient | the forward input is above 0 (and below 6, of ReLU6) |
    | deconvnet | it is above 0 itself |
    | guided | it is, and so is the forward input |

    The ceiling of ReLU6 closes the plain gradient only: a unit that has reached it is as active as can be, and guided
    from there nothing would be left.

    All else has its own derivative. That of a convolution is the transposed kernels, that of maximum pooling is
    unpooling by the recorded switches, so with "deconvnet" this is the network of Zeiler and Fergus. Rectifiers are
    ReLU, ReLU6 and hardtanh from 0, as modules and as functions, in place or not; of other activations the plain
    derivative stays, as nobody has defined more.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 2.1;
    Springenberg, Dosovitskiy, Brox and Riedmiller, "Striving for simplicity", ICLR 2015 workshop, section 3.4.

    Args:
        rule: see the table.

    Attributes:
        rectifiers: how many were passed.
        switches: how many maximum poolings were.
        others: names of the other activations that were, such as "silu".
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule
        self.rectifiers = 0
        self.switches = 0
        self.others: set[str] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one operation."""
        given = dict(kwargs or {})
        if not _rectifies(func, args, given):
            self._note(getattr(func, "__name__", ""))
            return func(*args, **given)
        self.rectifiers += 1
        if self.rule == "gradient":
            return func(*args, **given)
        before, *rest = args
        return self._rectified(func, before, rest, given)

    def _note(self, name: str) -> None:
        if name.rstrip("_") in _CURVED:
            self.others.add(name.rstrip("_"))
        # With or without indices; those of torch itself and of its functional interface have names of their own.
        self.switches += "max_pool2d" in name

    def _rectified(
        self, func: Callable[..., Tensor], before: Tensor, rest: Sequence[Any], given: dict[str, Any]
    ) -> Tensor:
        in_place = given.pop("inplace", False) or func in _IN_PLACE
        after = func(before.clone() if in_place else before, *rest, **given)
        passed: Tensor = _Rectified.apply(before, after.detach(), self.rule == "guided")
        # Code that rectifies in place may go on with the old name.
        return before.copy_(passed) if in_place else passed


class _Rectified(torch.autograd.Function):
    """The second tensor forward; backward, what is above 0 of the signal goes to the first, perhaps where that is."""

    @staticmethod
    def forward(ctx: Any, _before: Tensor, after: Tensor, where_active: bool) -> Tensor:
        ctx.where_active = where_active
        ctx.save_for_backward(after > 0)
        return after.clone()

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor, None, None]:
        (signal,), (active,) = signals, ctx.saved_tensors
        passed = signal.clamp(min=0)
        return passed * active if ctx.where_active else passed, None, None


_IN_PLACE = frozenset({torch.relu_, Tensor.relu_})
_RECTIFIERS = frozenset({F.relu, torch.relu, Tensor.relu, F.relu6}) | _IN_PLACE
_CURVED = frozenset(
    {
        *("leaky_relu", "prelu", "elu", "celu", "selu", "silu", "gelu", "mish", "softplus"),
        *("hardswish", "hardsigmoid", "sigmoid", "tanh", "hardtanh"),
    }
)


def _rectifies(func: Callable[..., Any], args: Sequence[Any], given: Mapping[str, Any]) -> bool:
    lowest = given.get("min_val", args[1] if len(args) > 1 else None) if func is F.hardtanh else None
    return func in _RECTIFIERS or lowest == 0
