from pathlib import Path
from typing import Annotated, Any

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, progress_bar, say


@app.command()
def train(
    source: Annotated[
        str, typer.Argument(help="images with classes, masks or boxes, or a recipe (.toml), or a first key=value")
    ],
    settings: Annotated[list[str] | None, typer.Argument(help="key=value, laid over the recipe")] = None,
    out: Annotated[Path | None, typer.Option(help="the run's folder; default: the next free one below runs/")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the result as one JSON object")] = False,
) -> None:
    """Train on images with classes, masks or boxes, test, report; or go on where the same command stopped.

    Example: convolve train photos/ epochs=10 budget=30m --out runs/first
    """
    from convolve.workflow.recipes import recipe_from
    from convolve.workflow.train import train as train_run

    recipe = recipe_from(source, settings or [])
    with progress_bar() as progress:
        run = train_run(recipe, out=out, progress=progress, say=say)
    results = run.read("results")
    if as_json:
        print_json({"run": str(run.folder), "report": str(run.report), **results})
        return
    for line in _summary(results):
        print(line)
    print(f"report: {run.report}")


def _summary(results: dict[str, Any]) -> list[str]:
    lines = []
    for name, what in (("test", "test images"), ("out_of_fold", "images, each by a model that never saw it")):
        if name in results:
            line = {"classify": _class_line, "segment": _map_line, "detect": _box_line}[results["task"]]
            lines.append(line(results[name], what))
    return lines or ["no test images: no figure that could be trusted (folds=5 tests every image once)"]


def _class_line(one: dict[str, Any], what: str) -> str:
    low, high = one["accuracy_ci95"]
    return (
        f"{one['accuracy']:.1%} right of {one['n']} {what} (95 % interval {low:.1%} to {high:.1%}); "
        f"balanced {one['balanced_accuracy']:.1%}"
    )


def _map_line(one: dict[str, Any], what: str) -> str:
    interval = ""
    if one["mean_iou_ci95"] is not None:
        low, high = one["mean_iou_ci95"]
        interval = f" (95 % interval {low:.1%} to {high:.1%})"
    right = f"{one['pixel_accuracy']:.1%} of the pixels right"
    return f"mean IoU {one['mean_iou']:.1%}{interval}, {right}, on {one['n']} {what}"


def _box_line(one: dict[str, Any], what: str) -> str:
    if one["map50"] is None:
        return f"no object in {one['n']} {what}: no figure"
    interval = ""
    if one["map50_ci95"] is not None:
        low, high = one["map50_ci95"]
        interval = f" (95 % interval {low:.1%} to {high:.1%})"
    return f"mAP@.5 {one['map50']:.1%}{interval}, mAP@.5:.95 {one['map']:.1%}, on {one['n']} {what}"
