"""Expressions such as "e = (a + b) * (b + 1)" as computation graphs; the text may be anybody's."""

import ast
import math
import unicodedata
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from convolve.errors import UserError, nearest_name, unknown_name
from convolve.see.graph.computation import ComputationGraph, computation_graph
from convolve.see.graph.notation import number_text

LONGEST, DEEPEST, LONGEST_NAME = 1_000, 100, 24
"""Bounds on an expression: letters, operations within one another, letters of a name."""

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "sqrt": torch.sqrt,
    "max": torch.maximum,
    "min": torch.minimum,
}
"""What an expression may call, by name; max and min take two values, the others one."""

_OPERATORS: dict[type[ast.operator], Callable[[Tensor, Tensor], Tensor]] = {
    ast.Add: torch.add,
    ast.Sub: torch.sub,
    ast.Mult: torch.mul,
    ast.Div: torch.div,
    ast.Pow: torch.pow,
}
_OF_TWO = ("max", "min")
_ALLOWED = f"Allowed are names, numbers, + - * / **, brackets, and {', '.join(FUNCTIONS)}."


@dataclass(frozen=True, kw_only=True)
class Expression:
    """A checked expression.

    Attributes:
        names: what it needs values of, in the order in which they occur.
        given: values that stand in the text itself, as in "a = 2; b = a * a".
        steps: (name, formula), the last is the result; it may have no name ("").
    """

    names: tuple[str, ...]
    given: Mapping[str, float]
    steps: tuple[tuple[str, ast.expr], ...]

    def evaluate(self, /, **values: Tensor) -> dict[str, Tensor]:
        """The value of every step, by name.

        Args:
            values: of `names` and of `given`, () float64 each.

        Raises:
            UserError: a division by zero, the logarithm of a negative number, an overflow.
        """
        known = dict(values)
        for name, formula in self.steps:
            value = _Evaluation(known).of(formula)
            # A new name for an old value is a node of its own.
            known[name] = value.clone() if any(value is old for old in known.values()) else value
        return {name: known[name] for name, _ in self.steps}


def expression_graph(text: str, values: Mapping[str, float]) -> ComputationGraph:
    """The computation graph of an expression.

    Args:
        text: one expression with or without a name, or several assignments, separated by ";" or lines, of which the
            last is the result: "c = a + b; d = b + 1; e = c * d".
        values: of its names, except those that the text itself sets to a number.

    Raises:
        UserError: the text is no such expression, a value is missing, unknown or not finite, or something in it or its
            derivative cannot be computed at these values.

    >>> expression_graph("e = (a + b) * (b + 1)", {"a": 2, "b": 1})["b"].total
    5.0
    """
    expression = parse(text)
    every = {**_checked(values, expression), **expression.given}
    order = [name for name in every if name in expression.names]
    order += [name for name in every if name not in order]
    return computation_graph(expression.evaluate, {name: every[name] for name in order})


def parse(text: str) -> Expression:
    """The expression that a text means; nothing in it is executed.

    Raises:
        UserError: it is empty, too long or too deep, or has anything else than what `_ALLOWED` says.
    """
    if len(text) > LONGEST:
        raise UserError(f"the expression has {len(text):,} letters, at most {LONGEST:,} are read")
    lines = "\n".join(line.strip() for line in text.strip().strip(";").splitlines())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            statements = ast.parse(lines).body
    except (SyntaxError, ValueError, MemoryError, RecursionError, Warning) as error:
        reason = getattr(error, "msg", None) or "it is too deep"
        raise UserError(f"'{_short(text)}' is no expression: {reason}", _ALLOWED) from error
    if not statements:
        raise UserError("the expression is empty", 'For example: "e=(a+b)*(b+1)" a=2 b=1')
    return _assembled([_step(statement, last=statement is statements[-1]) for statement in statements])


def plain_name(word: str) -> str:
    """A name as it is read in an expression: Python's parser takes the micro sign for the Greek letter, and so on."""
    return unicodedata.normalize("NFKC", word.strip())


def _step(statement: ast.stmt, *, last: bool) -> tuple[str, ast.expr]:
    if isinstance(statement, ast.Expr) and last:
        return "", statement.value
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name):
            _check_name(target.id)
            return target.id, statement.value
    raise UserError(f"'{_unparsed(statement)}' is not of the form name = formula", _ALLOWED)


def _assembled(statements: list[tuple[str, ast.expr]]) -> Expression:
    given: dict[str, float] = {}
    steps: list[tuple[str, ast.expr]] = []
    names: dict[str, None] = {}
    for name, formula in statements:
        used = _names_in(formula)
        if name and name in (*given, *dict(steps), *names, *used):
            raise UserError(f"'{name}' is set twice, or used before it is set", "Give every value a name of its own.")
        if name and not used and len(statements) > 1:
            given[name] = float(_Evaluation({}).of(formula))
            continue
        names.update(dict.fromkeys(word for word in used if word not in given and word not in dict(steps)))
        steps.append((name, formula))
    if not steps or not (names or given):
        raise UserError(
            "the expression has no names, so there is nothing to differentiate by", 'For example "a*a" a=3.'
        )
    return Expression(names=tuple(names), given=given, steps=tuple(steps))


def _names_in(formula: ast.expr) -> list[str]:
    """The names that a formula uses, in order, once each; everything in it is checked on the way."""
    found: dict[str, None] = {}
    waiting: list[tuple[ast.expr, int]] = [(formula, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > DEEPEST:
            raise UserError(
                f"the expression has more than {DEEPEST} operations within one another", "Name parts of it."
            )
        if isinstance(node, ast.Name):
            _check_name(node.id)
            found[node.id] = None
        waiting.extend((part, depth + 1) for part in reversed(_parts(node)))
    return list(found)


def _parts(node: ast.expr) -> list[ast.expr]:
    """What an operation works on.

    Raises:
        UserError: it is none of those allowed.
    """
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return [node.operand]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        _check_call(node.func.id, node.args)
        return node.args
    is_number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
    if isinstance(node, ast.Name) or is_number:
        return []
    powers = " A power is written a ** 2." if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor) else ""
    raise UserError(f"'{_unparsed(node)}' is not allowed in an expression", _ALLOWED + powers)


def _check_call(name: str, arguments: list[ast.expr]) -> None:
    if name not in FUNCTIONS:
        raise unknown_name("function", name[:LONGEST_NAME], FUNCTIONS)
    wanted = 2 if name in _OF_TWO else 1
    if len(arguments) != wanted:
        raise UserError(f"{name} takes {wanted} value{'s' * (wanted - 1)}, not {len(arguments)}")


def _check_name(name: str) -> None:
    if name in FUNCTIONS:
        raise UserError(f"'{name}' is a function", f"Call it, {name}(...), or choose another name.")
    if len(name) > LONGEST_NAME:
        raise UserError(f"the name '{name[:LONGEST_NAME]}…' is too long", f"At most {LONGEST_NAME} letters.")


def _checked(values: Mapping[str, float], expression: Expression) -> dict[str, float]:
    known = [*expression.names, *expression.given]
    for name, value in values.items():
        if name in expression.given:
            raise UserError(f"'{name}' has two values", "Give it in the expression or after it, not both.")
        if name not in known:
            near = nearest_name(name, known)
            guess = f"Did you mean '{near}'? " if near else ""
            raise UserError(f"'{name}' is not a value of the expression", f"{guess}Its values: {', '.join(known)}.")
        if not math.isfinite(value):
            raise UserError(f"{name}={value}: not a finite number")
    missing = [name for name in expression.names if name not in values]
    if missing:
        example = " ".join(f"{name}=1" for name in missing)
        raise UserError(f"no value is given for {', '.join(missing)}", f"Add it after the expression: {example}")
    return {name: float(values[name]) for name in expression.names}


class _Evaluation:
    """Computes a checked formula with torch."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self._values = values

    def of(self, node: ast.expr) -> Tensor:
        parts = [self.of(part) for part in _parts(node)]
        value = self._applied(node, parts)
        if not bool(value.detach().isfinite()):
            self._refuse(node, parts, value)
        return value

    def _applied(self, node: ast.expr, parts: list[Tensor]) -> Tensor:
        if isinstance(node, ast.Name):
            return self._values[node.id]
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, int | float)  # noqa: S101
            return torch.tensor(_float(node.value), dtype=torch.float64)
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](*parts)
        if isinstance(node, ast.UnaryOp):
            return -parts[0] if isinstance(node.op, ast.USub) else parts[0]
        assert isinstance(node, ast.Call)  # noqa: S101
        assert isinstance(node.func, ast.Name)  # noqa: S101
        return FUNCTIONS[node.func.id](*parts)

    def _refuse(self, node: ast.expr, parts: list[Tensor], value: Tensor) -> None:
        numbers = [float(part.detach()) for part in parts]
        at = ", ".join(f"{name} = {number_text(float(self._values[name].detach()))}" for name in _names_in(node))
        raise UserError(
            f"{_reason(node, numbers, float(value.detach()))}: {_unparsed(node)}{f' at {at}' if at else ''}",
            "Choose other values.",
        )


def _reason(node: ast.expr, numbers: list[float], value: float) -> str:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and numbers[1] == 0:
        return "division by zero"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and numbers[0] == 0:
        return "zero to a negative power"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and math.isnan(value):
        return "a negative number to a fractional power"
    if isinstance(node, ast.Call) and numbers[0] <= 0 and ast.unparse(node.func) in ("log", "sqrt"):
        sign = "zero" if numbers[0] == 0 else "a negative number"
        return f"{'logarithm' if ast.unparse(node.func) == 'log' else 'square root'} of {sign}"
    return "too large a number"


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _unparsed(node: ast.AST) -> str:
    try:
        return _short(ast.unparse(node))
    except RecursionError:
        return "…"


def _short(text: str, longest: int = 60) -> str:
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
