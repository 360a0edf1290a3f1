import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from convolve.errors import UserError
from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, say


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="a run's folder, or a model.safetensors")],
    images: Annotated[list[Path], typer.Argument(help="image files, or folders of them")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="a table with a column a class")] = False,
) -> None:
    """Say what images show. Exit code 1 if any image failed; the others are predicted all the same.

    Example: convolve predict runs/first new/*.jpg --json
    """
    from convolve.workflow.testing import find_model

    loaded = find_model(model)
    paths = list(_files(images))
    answers = ({"image": str(path), **answer} for path, answer in zip(paths, loaded.predict(paths), strict=True))
    failed = _print(answers, loaded.classes, as_json=as_json, as_csv=as_csv)
    if failed:
        raise typer.Exit(1)


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
