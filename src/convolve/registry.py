"""Parts by name: a part is one file that registers itself, and its options are its builder's signature."""

import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from convolve.errors import UserError, nearest_name, unknown_name

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """The parts of one kind, found in the modules of one package.

    Args:
        kind: what a part is called in messages, for example "network".
        package: dotted name of the package; all of its modules are imported at the first look-up.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._parts: dict[str, Part] = {}
        self._found = False

    def add(self, name: str, part: Part) -> Part:
        """Register `part`; two parts of one name are a fault in the program.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._parts:
            raise ValueError(f"two {self.kind}s are called '{name}'")
        self._parts[name] = part
        return part

    def register(self, name: str) -> Callable[[Part], Part]:
        """Register the class or function below as `name` (a decorator)."""

        def keep(part: Part) -> Part:
            return self.add(name, part)

        return keep

    def __getitem__(self, name: str) -> Part:
        """The part called `name`.

        Raises:
            UserError: nothing is called so; the message has the nearest name.
        """
        self._find()
        if name not in self._parts:
            raise unknown_name(self.kind, name, self._parts)
        return self._parts[name]

    def __contains__(self, name: str) -> bool:
        self._find()
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        self._find()
        return iter(sorted(self._parts))

    def _find(self) -> None:
        if self._found:
            return
        for module in pkgutil.iter_modules(import_module(self._package).__path__):
            import_module(f"{self._package}.{module.name}")
        self._found = True


def checked_options(builder: Callable[..., Any], options: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """The options, each checked against the builder's keyword-only parameters and converted to its type.

    Only keyword-only parameters that have a default are options; the rest is what the program itself hands in.

    Args:
        builder: a class or function.
        options: names and values as a recipe gives them.
        where: the place in the recipe, for messages, for example "network.options".

    Raises:
        UserError: an unknown name, or a value of the wrong type or out of bounds.
    """
    target = builder.__init__ if inspect.isclass(builder) else builder
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(builder).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is not inspect.Parameter.empty
    }
    hints = get_type_hints(target, include_extras=True)
    checked = {}
    for name, value in options.items():
        if name not in parameters:
            near = nearest_name(name, parameters)
            listing = f"Known: {', '.join(sorted(parameters))}." if parameters else "It has no options."
            guess = f"Did you mean '{near}'? " if near else ""
            raise UserError(f"{where}: unknown option '{name}'", guess + listing)
        try:
            checked[name] = TypeAdapter(hints.get(name, Any)).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise UserError(f"{where}.{name}={value!r}: {reason}") from error
    return checked
