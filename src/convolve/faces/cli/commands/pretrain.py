from pathlib import Path
from typing import Annotated

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, progress_bar, say


@app.command()
def pretrain(
    images: Annotated[str, typer.Argument(help="images, with labels or without: a folder, or any data set")],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value, laid over the recipe")] = None,
    out: Annotated[Path | None, typer.Option(help="the run's folder; default: the next free one below runs/")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the result as one JSON object")] = False,
) -> None:
    """Learn from images without labels, as a start for other trainings; or go on where the same command stopped.

    Example: convolve pretrain photos/ network=residual budget=30m --out runs/pretrained
    """
    from convolve.workflow.pretrain import pretrain_run
    from convolve.workflow.recipes import recipe_from

    recipe = recipe_from(images, settings or [])
    with progress_bar() as progress:
        run = pretrain_run(recipe, out=out, progress=progress, say=say)
    results = run.read("results")
    if as_json:
        print_json({"run": str(run.folder), "model": str(run.model), **results})
        return
    figures = ", ".join(f"{name} {value:.3g}" for name, value in results["figures"].items())
    print(f"{results['epochs']} epochs of {results['images']} images without labels: {figures}")
    if "neighbours" in results:
        shares = results["neighbours"]
        print(
            f"nearest neighbours agree with the labels for {shares['accuracy']:.1%} of the images "
            f"({shares['before']:.1%} before)"
        )
    print(f"start from it: convolve train DATA network={results['network']} network.weights={run.folder}")
