"""How numbers and operations are written in a graph."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

_SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "truediv": "/",
    "true_divide": "/",
    "pow": "**",
    "matmul": "@",
}
# The operand on the right comes first in these.
_TURNED = {f"r{name}": sign for name, sign in _SIGNS.items()}
_NAMES = {"clone": "copy", "maximum": "max", "minimum": "min", "getitem": "entry"}


def number_text(value: float, *, digits: int = 4) -> str:
    """A number as it is read: few digits, no needless zeros, no negative zero.

    >>> number_text(6.0), number_text(0.731058), number_text(-12345.678), number_text(-0.0)
    ('6', '0.7311', '-1.235e+04', '0')
    """
    return f"{value + 0.0:.{digits}g}"


def call_text(operation: str, arguments: Sequence[Any], name_of: Callable[[Tensor], str | None]) -> str:
    """An operation on named values, as one would write it.

    Args:
        operation: torch's name of it; empty = no operation.
        arguments: tensors and plain values.
        name_of: the name of a tensor; None for a constant.
    """
    if not operation:
        return ""
    words = [_argument(argument, name_of) for argument in arguments]
    if operation == "neg":
        return f"-{words[0]}"
    if len(words) == 2 and operation in _SIGNS:
        return f"{words[0]} {_SIGNS[operation]} {words[1]}"
    if len(words) == 2 and operation in _TURNED:
        return f"{words[1]} {_TURNED[operation]} {words[0]}"
    return f"{_NAMES.get(operation, operation)}({', '.join(words)})"


def _argument(argument: Any, name_of: Callable[[Tensor], str | None]) -> str:
    if isinstance(argument, Tensor):
        name = name_of(argument)
        if name is None:
            name = number_text(float(argument)) if argument.numel() == 1 else f"({'x'.join(map(str, argument.shape))})"
        return name
    if isinstance(argument, list | tuple):
        return ", ".join(_argument(entry, name_of) for entry in argument)
    return number_text(argument) if isinstance(argument, float) else str(argument)
