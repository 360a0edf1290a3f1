from pathlib import Path
from typing import Annotated, Any

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table, progress_bar


@app.command(name="test")
def judge(
    run: Annotated[Path, typer.Argument(help="a finished run's folder")],
    data: Annotated[
        str | None, typer.Option(help="other images, with their classes, masks or boxes; default: its own")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    passes: Annotated[int, typer.Option(min=0, help="masks: so many passes with dropout on, and their mean")] = 0,
    views: Annotated[str, typer.Option(help="masks: mean over copies: none, mirror, flips or turns")] = "none",
    as_json: Annotated[bool, typer.Option("--json", help="the figures as one JSON object")] = False,
) -> None:
    """Judge a run's model on images it was not trained on.

    Of masks: mean IoU and the figures of every class, over all pixels that have one, and how many of the errors lie
    where it is least certain. Of boxes: average precision, by class, and how many objects the proposals reach.

    Example: convolve test runs/first --data photos-of-june/
    """
    from convolve.deploy.segmentation.uncertainty import checked_views
    from convolve.run.folder import open_run
    from convolve.workflow.testing import judge_run

    with progress_bar() as progress:
        figures = judge_run(
            open_run(run), data=data, split=split, progress=progress, passes=passes, views=checked_views(views)
        )
    if as_json:
        print_json(figures)
        return
    {"classify": _print_classes, "segment": _print_maps, "detect": _print_boxes}[figures["task"]](figures)


def _print_classes(figures: dict[str, Any]) -> None:
    low, high = figures["accuracy_ci95"]
    print(
        f"{figures['split']}: {figures['accuracy']:.2%} of {figures['n']} right (95 % interval {low:.1%} to {high:.1%})"
    )
    print(f"balanced accuracy {figures['balanced_accuracy']:.2%}, nll {figures['nll']:.4f}, ece {figures['ece']:.4f}")
    print_table(
        ["class", "images", "precision", "recall", "f1"],
        [
            [row["class"], row["n"], *(_share(row[name]) for name in ("precision", "recall", "f1"))]
            for row in figures["per_class"]
        ],
    )


def _print_maps(figures: dict[str, Any]) -> None:
    interval = figures["mean_iou_ci95"]
    told = f" (95 % interval {interval[0]:.1%} to {interval[1]:.1%})" if interval else ""
    right = f"{figures['pixel_accuracy']:.2%} of the pixels right"
    print(f"{figures['split']}: mean IoU {figures['mean_iou']:.2%}{told}, {right}, on {figures['n']} images")
    held = next(row for row in figures["least_certain"] if row["share"] == 0.1)["errors"]
    if held is not None:
        print(f"the least certain 10 % of the pixels hold {held:.1%} of the errors")
    print_table(
        ["class", "pixels", "IoU", "F1", "precision", "recall"],
        [
            [row["class"], f"{row['share']:.1%}", *(_share(row[name]) for name in ("iou", "f1", "precision", "recall"))]
            for row in figures["per_class"]
        ],
    )


def _print_boxes(figures: dict[str, Any]) -> None:
    interval = figures["map50_ci95"]
    told = f" (95 % interval {interval[0]:.1%} to {interval[1]:.1%})" if interval else ""
    print(f"{figures['split']}: mAP@.5 {_percent(figures['map50'])}{told}, mAP@.5:.95 {_percent(figures['map'])}")
    recall = figures["proposal_recall"]
    reached = "" if recall is None else f"; the proposals reach {recall:.1%} of the objects"
    print(f"{figures['n']} images, {figures['ms_per_image']:.0f} ms each{reached}")
    print_table(
        ["class", "objects", "AP@.5", "AP@.5:.95", "precision", "recall", "f1"],
        [
            [
                name,
                row["objects"],
                *(_share(row[figure]) for figure in ("ap50", "ap", "precision", "recall", "f1")),
            ]
            for name, row in figures["per_class"].items()
        ],
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
