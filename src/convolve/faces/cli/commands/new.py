from typing import Annotated

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import progress_bar


@app.command()
def new(
    source: Annotated[str, typer.Argument(help="images, or a recipe to write out in full")],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value, laid over it")] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="write the recipe's JSON schema instead, for editors")
    ] = False,
) -> None:
    """Write the recipe that `train` would use, with a comment on each key.

    Example: convolve new photos/ > recipe.toml
    """
    from convolve.recipe.file import json_schema
    from convolve.workflow.recipes import recipe_from, recipe_text

    if schema:
        print(json_schema())
        return
    with progress_bar() as progress:
        text = recipe_text(recipe_from(source, settings or []), progress)
    print(text, end="")
