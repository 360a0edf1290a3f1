from pathlib import Path
from typing import Annotated

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table, progress_bar, say


@app.command()
def ladder(
    name: Annotated[
        str,
        typer.Argument(
            help="transfer (ways to begin); depth (networks from MLP to residual); segment (masks: from scores to a "
            "map); detect (boxes: ways to find them)"
        ),
    ],
    source: Annotated[str, typer.Argument(help="images, or a recipe (.toml), or a first key=value")],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value, laid over the recipe")] = None,
    budget: Annotated[str, typer.Option(help="time for all rungs together, such as 15m; default: the recipe's")] = "",
    rungs: Annotated[str, typer.Option(help="some of the rungs, with commas; default: all that can run here")] = "",
    out: Annotated[Path | None, typer.Option(help="its folder; default: the next free one below runs/ladder/")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the comparison as one JSON object")] = False,
) -> None:
    """Train every rung of a ladder under one budget, and tell what each buys in accuracy, time and memory.

    Example: convolve ladder transfer photos/ --budget 15m --out runs/ways
    """
    from convolve.workflow.ladder import climb
    from convolve.workflow.recipes import recipe_from
    from convolve.workflow.work import work_called

    recipe = recipe_from(source, [*(settings or []), *([f"budget={budget}"] if budget else [])])
    names = [one.strip() for one in rungs.split(",") if one.strip()]
    with progress_bar() as progress:
        study, results = climb(name, recipe, rungs=names, out=out, progress=progress, say=say)
    page = study.folder / "ladder.html"
    if as_json:
        print_json({"page": str(page), **results})
        return
    print_table(*work_called(results["task"]).ladder_table(results))
    for row in results["left_out"]:
        print(f"left out: {row['rung']}: {row['reason']}")
    for test in results["comparisons"]:
        print(test["words"])
    print(f"page: {page}")
