"""The recipe that a command or a call asks for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convolve.errors import UserError
from convolve.progress import Progress
from convolve.recipe.file import make_recipe, read_recipe, write_recipe
from convolve.recipe.schema import Recipe
from convolve.recipe.values import override
from convolve.workflow.data import open_data
from convolve.workflow.work import work_of


def recipe_from(source: str, settings: Sequence[str] = ()) -> Recipe:
    """The recipe in a file, or the default recipe for a data set, with `key=value` settings laid over it.

    Args:
        source: a .toml file, or where the images are, or itself a setting (`data=photos`).
        settings: the last one wins.

    Raises:
        UserError: the recipe or a setting is wrong.
    """
    if source.endswith(".toml"):
        if not Path(source).exists():
            raise UserError(f"{source}: there is no such recipe", f"`convolve new DATA > {source}` writes one.")
        return read_recipe(Path(source), settings)
    if "=" in source and not Path(source).exists():
        return make_recipe(override({}, [source, *settings]))
    table: dict[str, Any] = {"data": {"path": source}}
    return make_recipe(override(table, settings))


def recipe_text(recipe: Recipe, progress: Progress) -> str:
    """The recipe that training would use, as commented TOML; what is measured first stays "auto".

    Raises:
        UserError: the data cannot be used.
    """
    opened = open_data(recipe.data, progress, recipe.masks, recipe.task)
    choices = work_of(opened.dataset, recipe.task).resolve(opened, recipe, progress)
    return write_recipe(choices.recipe, choices.reasons)
