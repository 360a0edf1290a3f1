from pathlib import Path
from typing import Annotated

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table


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
    score, secondary = ("accuracy", "balanced_accuracy")
    if compared["runs"][0]["task"] == "segment":
        score, secondary = ("mean_iou", "pixel_accuracy")
    print_table(
        ["run", score.replace("_", " "), "95 % interval", secondary.replace("_", " "), "nll", "images", "seconds"],
        [
            [
                row["run"],
                f"{row[score]:.2%}",
                f"{row[f'{score}_ci95'][0]:.1%} to {row[f'{score}_ci95'][1]:.1%}",
                f"{row[secondary]:.2%}",
                f"{row['nll']:.4f}",
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
