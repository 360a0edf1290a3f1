from pathlib import Path
from typing import Annotated

import typer

from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, progress_bar


@app.command()
def look(
    data: Annotated[str, typer.Argument(help="folder, archive, table or IDX file, or a built-in name")],
    html: Annotated[Path | None, typer.Option(help="draw it as a page, in this file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Say what is in a data set: counts, sizes, broken files, duplicates, leaks between splits.

    Example: convolve look photos/ --html look.html
    """
    from convolve.data.inspection import inspect_dataset
    from convolve.data.reading import read_dataset
    from convolve.see.report.page import write_inspection

    dataset = read_dataset(data, missing="skip")
    with progress_bar() as progress:
        inspection = inspect_dataset(dataset, progress=progress)
    if html is not None:
        write_inspection(html, inspection, dataset)
    if as_json:
        print_json(inspection.as_json())
        return
