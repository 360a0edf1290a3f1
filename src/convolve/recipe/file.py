"""Recipes as TOML: read with clear errors, written with a comment on each key."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import BaseModel, ValidationError
from tomlkit.exceptions import TOMLKitError

from convolve.errors import UserError, nearest_name
from convolve.recipe.schema import Recipe, Section
from convolve.recipe.values import ALIASES, override


def read_recipe(path: Path, assignments: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML file, with `key=value` settings laid over it.

    Raises:
        UserError: the file cannot be read, is no TOML, or has an unknown key or a wrong value.
    """
    try:
        table = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a recipe in TOML: {error}") from error
    return make_recipe(override(table, assignments), where=str(path))


def make_recipe(table: dict[str, Any], *, where: str = "") -> Recipe:
    """The recipe of a table of plain values.

    Args:
        table: as TOML gives it.
        where: the file's name, for messages.

    Raises:
        UserError: an unknown key (with the nearest right one) or a value of the wrong type or out of bounds.
    """
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise _user_error(error, where) from error


def _user_error(error: ValidationError, where: str) -> UserError:
    prefix = f"{where}: " if where else ""
    problems = error.errors()
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]
    path = [str(part) for part in problem["loc"]]
    if unknown:
        name = ".".join(path)
        near = nearest_name(name, [*_keys(Recipe), *ALIASES]) or nearest_name(path[-1], [*_keys(Recipe), *ALIASES])
        return UserError(
            f"{prefix}unknown key '{name}'",
            f"Did you mean '{near}'?" if near else "`convolve new DATA` writes a recipe with all keys.",
        )
    if problem["type"] == "missing":
        return UserError(f"{prefix}the recipe names no data", 'Add path = "FOLDER" under [data].')
    # Where a field is a union, each member complains at a path of its own below the field's.
    field, key = _field_at(path)
    reasons = list(dict.fromkeys(p["msg"] for p in problems if [str(x) for x in p["loc"]][: len(key)] == key))
    described = f"It is: {field}." if field else ""
    return UserError(f"{prefix}{'.'.join(key)}={problem['input']!r}: {'; or: '.join(reasons)}", described)


def _field_at(path: Sequence[str]) -> tuple[str, list[str]]:
    model: type[BaseModel] = Recipe
    description, key = "", list[str]()
    for part in path:
        field = model.model_fields.get(part)
        if field is None:
            break
        key.append(part)
        description = field.description or ""
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        model = field.annotation
    return description, key or list(path)


def _keys(section: type[Section], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _keys(field.annotation, f"{prefix}{name}.")


def write_recipe(recipe: Recipe, reasons: dict[str, str] | None = None) -> str:
    """The recipe as commented TOML, every key written out.

    Args:
        recipe: what to write.
        reasons: why a key has its value, by dotted key; written instead of the key's description.
    """
    document = tomlkit.document()
    document.add(tomlkit.comment("A convolve recipe: everything that decides a training."))
    reasons = reasons or {}
    tables = []
    for name, field in Recipe.model_fields.items():
        value = getattr(recipe, name)
        if isinstance(value, Section | dict):
            tables.append((name, field, value))
        else:
            document.add(name, _item(name, value, reasons.get(name) or field.description))
    for name, field, value in tables:
        document.add(tomlkit.nl())
        document.add(name, _table(name, value, reasons, field.description or ""))
    return tomlkit.dumps(document)


def _table(name: str, value: Section | dict[str, Any], reasons: dict[str, str], description: str) -> Any:
    table = tomlkit.table()
    if isinstance(value, dict):
        table.comment(reasons.get(name) or description)
        for key, entry in value.items():
            table.add(key, _item(key, entry, reasons.get(f"{name}.{key}")))
        return table
    table.comment((type(value).__doc__ or "").splitlines()[0])
    for key, field in type(value).model_fields.items():
        table.add(key, _item(key, getattr(value, key), reasons.get(f"{name}.{key}") or field.description))
    return table


def _item(key: str, value: Any, comment: str | None) -> Any:
    if key in ("budget", "checkpoint") and isinstance(value, float):
        value = f"{value:.0f}s" if value.is_integer() else value
    if isinstance(value, dict):
        inline = tomlkit.inline_table()
        inline.update(value)
        item: Any = inline
    else:
        item = tomlkit.item(value)
    if comment:
        item.comment(" ".join(comment.split()))
    return item


def json_schema() -> str:
    """The recipe's JSON schema, for editors."""
    return json.dumps(Recipe.model_json_schema(), indent=2)
