"""Write the tables of docs/recipe.md from the recipe's schema and the registered augmentations."""

import inspect
from collections.abc import Iterator
from pathlib import Path

from convolve.data.augment.presets import PRESETS
from convolve.data.augment.transform import TRANSFORMS
from convolve.recipe.file import make_recipe
from convolve.recipe.schema import Recipe, Section
from convolve.recipe.values import ALIASES

PAGE = Path(__file__).with_name("recipe.md")
BEGIN, END = "<!-- begin: written by write_recipe_keys.py -->\n", "<!-- end -->\n"
__all__ = ["BEGIN", "END", "PAGE", "with_tables"]


def with_tables(page: str) -> str:
    """The page with its generated part written anew; the rest is left as it is."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}{''.join(line + chr(10) for line in _lines())}{END}{after}"


def _lines() -> Iterator[str]:
    recipe = make_recipe({"data": {"path": "DATA"}})
    top = [name for name in Recipe.model_fields if not isinstance(getattr(recipe, name), Section | dict)]
    yield from ("", "## Top level", "", *_table(recipe, top))
    for name in Recipe.model_fields:
        section = getattr(recipe, name)
        if isinstance(section, Section):
            about = (inspect.getdoc(type(section)) or "").splitlines()[0]
            yield from (
                "",
                f"## [{name}]",
                "",
                about,
                "",
                *_table(section, list(type(section).model_fields), f"{name}."),
            )
    yield from ("", "## [augment]", "", f"{Recipe.model_fields['augment'].description}.", "", *_augmentations())
    yield from ("", "## Names from other tools", "", "| name | means |", "|---|---|")
    yield from (f"| `{alias}` | `{key}` |" for alias, key in ALIASES.items())
    yield ""


def _table(section: Section, names: list[str], prefix: str = "") -> Iterator[str]:
    yield from ("| key | if left out | what it is |", "|---|---|---|")
    for name in names:
        field = type(section).model_fields[name]
        default = _default(name, section, required=field.is_required())
        yield f"| `{prefix}{name}` | {default} | {_cell(field.description)} |"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", r"\|")


def _default(name: str, section: Section, *, required: bool) -> str:
    value = getattr(section, name)
    if required:
        return "must be given"
    if name in ("budget", "checkpoint"):
        value = f"{value:g}s"
    return f"`{value}`" if value != {} else "none"


def _augmentations() -> Iterator[str]:
    yield from ("| key | options (a bare value sets the first) | what it does |", "|---|---|---|")
    for name in TRANSFORMS:
        kind = TRANSFORMS[name]
        parameters = inspect.signature(kind).parameters.values()
        options = ", ".join(
            f"`{p.name}`" + ("" if isinstance(p.default, tuple) else f" = {p.default:.3g}") for p in parameters
        )
        yield f"| `augment.{name}` | {options} | {(inspect.getdoc(kind) or '').splitlines()[0]} |"
    yield from ("", "| preset | is short for |", "|---|---|")
    yield from (
        f"| `{name}` | {', '.join(f'`{key}`' for key in keys) or 'nothing'} |" for name, keys in PRESETS.items()
    )


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
