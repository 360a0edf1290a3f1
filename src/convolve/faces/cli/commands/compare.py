from pathlib import Path
from typing import Annotated, Any

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table

_COLUMNS = {
    "classify": {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "nll": "nll"},
    "segment": {"mean_iou": "mean iou", "pixel_accuracy": "pixel accuracy", "nll": "nll"},
    "detect": {"map50": "mAP@.5", "map": "mAP@.5:.95"},
}


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="two or more finished runs of one task")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Lay runs side by side: figures, settings that differ, and whether the difference is more than chance.

    Example: convolve compare runs/first runs/second
    """
    from convolve.run.folder import open_run
    from convolve.workflow.comparison import compare_runs

    compared = compare_runs([open_run(folder) for folder in runs])
    if as_json:
        print_json(compared)
        return
    columns = _COLUMNS[compared["runs"][0]["task"]]
    score = next(iter(columns))
    print_table(
        ["run", columns[score], "95 % interval", *list(columns.values())[1:], "images", "seconds"],
        [
            [
                row["run"],
                _told(score, row),
                _interval(row[f"{score}_ci95"]),
                *(_told(figure, row) for figure in list(columns)[1:]),
                f"{row['n']} ({row['split']})",
                f"{row['seconds']:.0f}",
            ]
            for row in compared["runs"]
        ],
    )
    for key, values in compared["differences"].items():
        print(f"{key}: {', '.join(map(str, values))}")
    for sentence in compared["tests"]:
        print(sentence["words"])


def _told(figure: str, row: dict[str, Any]) -> str:
    value = row[figure]
    if value is None:
        return "-"
    return f"{value:.4f}" if figure == "nll" else f"{value:.2%}"


def _interval(interval: list[float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}"
