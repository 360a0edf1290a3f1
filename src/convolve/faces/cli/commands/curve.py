from pathlib import Path
from typing import Annotated

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table, progress_bar, say


@app.command()
def curve(
    source: Annotated[str, typer.Argument(help="images, or a recipe (.toml), or a first key=value")],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value, laid over the recipe")] = None,
    rungs: Annotated[
        str, typer.Option(help="starts to compare, with commas; default: features; others train at each point")
    ] = "",
    draws: Annotated[
        int | None, typer.Option(min=1, max=50, help="subsets at each size; default: 3 for features, 1 for others")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="its folder; default: the next free one below runs/curve/")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="all figures as one JSON object")] = False,
) -> None:
    """Tell how many images you need: accuracy by number of training images, and what more would bring.

    Example: convolve curve photos/ --rungs features,finetune budget=30m
    """
    from convolve.see.report.learning_curve import table_rows
    from convolve.workflow.curve import learning_curve
    from convolve.workflow.recipes import recipe_from

    recipe = recipe_from(source, settings or [])
    names = [name.strip() for name in rungs.split(",") if name.strip()]
    with progress_bar() as progress:
        study, results = learning_curve(recipe, rungs=names, draws=draws, out=out, progress=progress, say=say)
    page = study.folder / "curve.html"
    if as_json:
        print_json({"page": str(page), **results})
        return
    columns = ["rung", "training images", "accuracy", "95 % interval (test images)", "lowest to highest draw"]
    print_table(columns, table_rows(results))
    for rung in results["rungs"]:
        for sentence in rung["sentences"]:
            print(f"{rung['rung']}: {sentence}")
    print(f"page: {page}")
