import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convolve.errors import UserError
from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, progress_bar, say

if TYPE_CHECKING:
    from convolve.deploy.detection.model import DetectionModel
    from convolve.deploy.segmentation.model import SegmentationModel
    from convolve.workflow.detect.predicting import WantedBoxes
    from convolve.workflow.segment.predicting import Wanted


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="a run's folder, or a model.safetensors")],
    images: Annotated[list[Path], typer.Argument(help="image files, or folders of them")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="a table with a column a class; of classifiers")] = False,
    out: Annotated[
        Path | None, typer.Option(help="masks, boxes: the folder of the files; default: predicted", show_default=False)
    ] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="masks: of every class and pixel")] = False,
    uncertainty: Annotated[bool, typer.Option("--uncertainty", help="masks: maps of how unsure it is")] = False,
    passes: Annotated[int, typer.Option(min=0, help="masks: so many passes with dropout on, and their mean")] = 0,
    views: Annotated[str, typer.Option(help="masks: mean over copies: none, mirror, flips or turns")] = "none",
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="boxes: the least probability; default: the model's own", show_default=False),
    ] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="boxes: coco, yolo, voc or csv; may be given again")
    ] = None,
) -> None:
    """Say what images show, map it, or find its objects. Exit code 1 if any image failed; the others are predicted.

    With a model of masks, every image gets files: classes (as a palette PNG), an overlay, and what else is asked for.
    GeoTIFFs get GeoTIFFs that lie where the image lies, whatever their size.

    With a model of boxes, every image gets a picture with its boxes drawn; --format writes them for annotation tools.

    Example: convolve predict runs/first new/*.jpg --json
    """
    from convolve.deploy.detection.model import DetectionModel
    from convolve.deploy.segmentation.model import SegmentationModel
    from convolve.workflow.testing import find_model

    loaded = find_model(model)
    paths = list(_files(images))
    of_boxes, of_masks = isinstance(loaded, DetectionModel), isinstance(loaded, SegmentationModel)
    if (threshold is not None or formats) and not of_boxes:
        raise UserError(f"{model}: it finds no boxes", "--threshold and --format are for models of boxes.")
    if (probabilities or uncertainty or passes or views != "none") and not of_masks:
        raise UserError(
            f"{model}: it makes no masks",
            "--probabilities, --uncertainty, --passes and --views are for models of masks.",
        )
    if as_csv and (of_boxes or of_masks):
        raise UserError("--csv: this model has no table of classes an image", "Give --json (boxes: --format csv).")
    if isinstance(loaded, DetectionModel):
        failed = _predict_boxes(loaded, paths, _wanted_boxes(loaded, out, threshold, formats), as_json=as_json)
    elif isinstance(loaded, SegmentationModel):
        wanted = _wanted(out, probabilities, uncertainty, passes, views)
        failed = _predict_maps(loaded, paths, wanted, as_json=as_json)
    else:
        if out is not None:
            raise UserError(
                f"{model}: it says what an image shows, not where", "--out is for models of masks and boxes."
            )
        answers = ({"image": str(path), **answer} for path, answer in zip(paths, loaded.predict(paths), strict=True))
        failed = _print(answers, loaded.classes, as_json=as_json, as_csv=as_csv)
    if failed:
        raise typer.Exit(1)


def _wanted(out: Path | None, probabilities: bool, uncertainty: bool, passes: int, views: str) -> "Wanted":
    from convolve.deploy.segmentation.uncertainty import checked_views
    from convolve.workflow.segment.predicting import Wanted

    return Wanted(
        out=out or Path("predicted"),
        probabilities=probabilities,
        uncertainty=uncertainty,
        passes=passes,
        views=checked_views(views),
    )


def _predict_maps(model: "SegmentationModel", paths: list[Path], wanted: "Wanted", *, as_json: bool) -> int:
    from convolve.workflow.segment.predicting import predict_maps

    failed = 0
    with progress_bar() as progress:
        for answer in predict_maps(model, paths, wanted, progress):
            failed += "error" in answer
            if as_json:
                print_json(answer, indent=None)
            elif "error" in answer:
                say(f"{answer['image']}: {answer['error']}")
            else:
                shares = ", ".join(f"{name} {share:.1%}" for name, share in answer["shares"].items())
                print(f"{answer['image']}: {shares or 'no data'} -> {answer['labels_file']}", flush=True)
    return failed


def _wanted_boxes(
    model: "DetectionModel", out: Path | None, threshold: float | None, formats: list[str] | None
) -> "WantedBoxes":
    from convolve.workflow.detect.predicting import WantedBoxes, checked_forms

    return WantedBoxes(
        out=out or Path("predicted"),
        threshold=model.threshold if threshold is None else threshold,
        forms=checked_forms(formats or []),
    )


def _predict_boxes(model: "DetectionModel", paths: list[Path], wanted: "WantedBoxes", *, as_json: bool) -> int:
    from convolve.workflow.detect.predicting import predict_boxes

    failed = 0
    with progress_bar() as progress:
        for answer in predict_boxes(model, paths, wanted, progress):
            failed += "error" in answer
            if as_json:
                print_json(answer, indent=None)
            elif "error" in answer:
                say(f"{answer['image']}: {answer['error']}")
            else:
                counts = ", ".join(f"{count} {name}" for name, count in answer["counts"].items() if count)
                print(f"{answer['image']}: {counts or 'nothing'} -> {answer['files']['picture']}", flush=True)
    return failed


def _print(answers: Iterator[dict[str, Any]], classes: Sequence[str], *, as_json: bool, as_csv: bool) -> int:
    table = csv.writer(sys.stdout, lineterminator="\n") if as_csv else None
    if table:
        table.writerow(["image", "label", "probability", *classes])
    failed = 0
    for answer in answers:
        failed += "error" in answer
        if as_json:
            print_json(answer, indent=None)
        elif "error" in answer:
            say(f"{answer['image']}: {answer['error']}")
        elif table:
            shares = [f"{answer['probabilities'][name]:.6f}" for name in classes]
            table.writerow([answer["image"], _label(answer), f"{answer['probability']:.6f}", *shares])
        else:
            print(f"{answer['image']}: {_label(answer)} ({answer['probability']:.1%})", flush=True)
    return failed


def _label(answer: dict[str, Any]) -> str:
    label = answer["label"]
    return label if isinstance(label, str) else " + ".join(label) or "none"


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    from convolve.data.reading import is_image_file

    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if is_image_file(file.name))
            if not inside:
                raise UserError(f"{path}: there are no images in it")
            yield from inside
        else:
            yield path
