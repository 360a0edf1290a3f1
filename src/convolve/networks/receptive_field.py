"""Receptive fields by following every operation of a forward pass, branches included."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Pair: TypeAlias = tuple[int, int]

_aten = torch.ops.aten


@dataclass(frozen=True)
class Field:
    """What unit (0, 0) of a feature map sees, and how far apart units are; rows first, then columns.

    Attributes:
        low: first row and column of the input that the unit sees; negative in the padding.
        high: the last ones.
        jump: pixels of the input from one unit to the next.
    """

    low: Pair = (0, 0)
    high: Pair = (0, 0)
    jump: Pair = (1, 1)

    @property
    def sides(self) -> Pair:
        """Height and width of the field, pixels."""
        return self.high[0] - self.low[0] + 1, self.high[1] - self.low[1] + 1

    def through_window(self, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> "Field":
        """The field after a convolution or pooling.

        Source: Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill 2019.
        """
        reach = tuple((size - 1) * step for size, step in zip(kernel, dilation, strict=True))
        low = [self.low[axis] - padding[axis] * self.jump[axis] for axis in (0, 1)]
        high = [self.high[axis] + (reach[axis] - padding[axis]) * self.jump[axis] for axis in (0, 1)]
        jump = [self.jump[axis] * stride[axis] for axis in (0, 1)]
        return Field((low[0], low[1]), (high[0], high[1]), (jump[0], jump[1]))

    def joined(self, other: "Field") -> "Field":
        """The field of a sum or concatenation of two maps of one stride."""
        return Field(
            (min(self.low[0], other.low[0]), min(self.low[1], other.low[1])),
            (max(self.high[0], other.high[0]), max(self.high[1], other.high[1])),
            self.jump,
        )


class FieldTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follow the receptive field through everything torch computes inside the `with`.

    An operation that is not known to be local ends the following: whatever depends on it has no field. So a field is
    either right or missing, never too small.

    Args:
        image: (N, C, H, W), where the fields start.

    Attributes:
        last_field: of the last map that still has a place for each unit; None where nothing bounds what its units see.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.last_field: Field | None = None
        # The tensors are kept, so that no id is given twice.
        self._fields: dict[int, tuple[Tensor, Field | None]] = {id(image): (image, Field())}

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and note the field of what it returns."""
        result = operation(*args, **(kwargs or {}))
        seen = [tensor for tensor in tensors_in(args) if id(tensor) in self._fields]
        if seen:
            field = self._after(operation.overloadpacket, args, seen)
            for tensor in tensors_in([result]):
                self._fields[id(tensor)] = (tensor, field)
        return result

    def _after(self, operation: Any, args: Sequence[Any], seen: list[Tensor]) -> Field | None:
        fields = [self._fields[id(tensor)][1] for tensor in seen]
        field = fields[0]
        for other in fields[1:]:
            field = field.joined(other) if field and other and field.jump == other.jump else None
        if operation in _MATRIX_PRODUCTS and seen[0].shape[-2] > 1:
            # Several rows of one image are its places, as in attention and mixers: what they see has no bound.
            self.last_field = None
        if operation in _WINDOWS:
            self.last_field = field = _WINDOWS[operation](field, args) if field else None
        elif operation in _MOVES:
            field = _MOVES[operation](field, args) if field else None
        elif operation not in _LOCAL:
            # Flattening and global pooling too end up here, behind the last map: its field stays the last one.
            field = None
        self.last_field = field or self.last_field
        return field


def _convolved(field: Field, args: Sequence[Any]) -> Field | None:
    _, weight, _, stride, padding, dilation, transposed, *_ = args
    if transposed or weight.dim() != 4:
        return None
    kernel = (weight.shape[2], weight.shape[3])
    return field.through_window(kernel, _pair(stride), _pair(padding), _pair(dilation))


def _pooled(field: Field, args: Sequence[Any]) -> Field:
    kernel = _pair(args[1])
    stride = _pair(args[2]) if len(args) > 2 and args[2] else kernel
    padding = _pair(args[3]) if len(args) > 3 else (0, 0)
    # The fifth argument is the dilation of maximum pooling, but a switch of mean pooling.
    dilation = _pair(args[4]) if len(args) > 4 and not isinstance(args[4], bool) else (1, 1)
    return field.through_window(kernel, stride, padding, dilation)


def _padded(field: Field, args: Sequence[Any]) -> Field:
    # The amounts are for the last axis first, before and after: left, right, top, bottom, ...
    amounts = [*args[1], 0, 0, 0, 0]
    shift = (amounts[2] * field.jump[0], amounts[0] * field.jump[1])
    return replace(
        field,
        low=(field.low[0] - shift[0], field.low[1] - shift[1]),
        high=(field.high[0] - shift[0], field.high[1] - shift[1]),
    )


def _sliced(field: Field, args: Sequence[Any]) -> Field | None:
    given = dict(zip(("image", "dim", "start", "end", "step"), args, strict=False))
    axis = given.get("dim", 0) % args[0].dim() - 2
    start = given.get("start") or 0
    if start < 0:
        return None
    if axis < 0:
        return field
    strides, paddings = [1, 1], [0, 0]
    strides[axis], paddings[axis] = given.get("step", 1), -start
    return field.through_window((1, 1), _pair(strides), _pair(paddings))


def _viewed(field: Field, args: Sequence[Any]) -> Field | None:
    image, shape = args
    return field if list(image.shape[-2:]) == list(shape[-2:]) else None


def _transposed(field: Field, args: Sequence[Any]) -> Field | None:
    image, *dims = args
    return field if all(dim % image.dim() < image.dim() - 2 for dim in dims) else None


def _pair(value: Sequence[int]) -> Pair:
    return (value[0], value[-1])


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """The tensors among the values and in lists of them."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found.extend(tensors_in(value))
    return found


_Step: TypeAlias = Callable[[Field, Sequence[Any]], Field | None]
_WINDOWS: dict[Any, _Step] = {
    _aten.convolution: _convolved,
    _aten.max_pool2d_with_indices: _pooled,
    _aten.avg_pool2d: _pooled,
}
_MOVES: dict[Any, _Step] = {
    _aten.constant_pad_nd: _padded,
    _aten.slice: _sliced,
    _aten.view: _viewed,
    _aten._unsafe_view: _viewed,
    _aten.transpose: _transposed,
}
_MATRIX_PRODUCTS = frozenset({_aten.mm, _aten.addmm, _aten.bmm, _aten.baddbmm})
# Each unit of the result depends on units of the same place only.
_LOCAL = frozenset(
    getattr(_aten, name)
    for name in (
        *("native_batch_norm", "relu", "relu_", "hardtanh", "hardtanh_", "hardswish", "hardswish_", "silu", "silu_"),
        *("leaky_relu", "leaky_relu_", "elu", "elu_", "gelu", "sigmoid", "sigmoid_", "hardsigmoid", "hardsigmoid_"),
        *("tanh", "tanh_", "clamp", "clamp_", "clamp_min", "clamp_min_"),
        *("add", "add_", "sub", "mul", "mul_", "div", "pow"),
        *("cat", "clone", "detach", "split", "chunk"),
    )
)
