from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convolve.errors import UserError
from convolve.faces.cli.app import app
from convolve.faces.cli.terminal import print_json, print_table, progress_bar, say

if TYPE_CHECKING:
    from convolve.data.dataset import Dataset
    from convolve.data.findings import Copies, Inspection, Spread
    from convolve.recipe.schema import MasksSection

# A terminal is for the gist; --html and --json have all of it.
_SHOWN = 5


@app.command()
def look(
    data: Annotated[
        str, typer.Argument(help="folder, archive, table, IDX, COCO or YOLO's YAML file, or a built-in name")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(help="masks: key=value of what their values mean, as masks.coding=binary; or task=detect"),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="draw it as a page, in this file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Say what is in a data set: counts, sizes, broken files, duplicates, leaks between splits.

    Of masks it says what their values were taken to mean, with the lines of a recipe that say the same, and how many
    pixels and regions each class has. Of boxes it says how large they are, what was wrong with them, and which input
    and anchors suit them; task=detect reads the boxes of data that has masks as well.

    Example: convolve look photos/ --html look.html
    """
    from convolve.data.inspection import inspect_dataset
    from convolve.data.reading import read_dataset
    from convolve.see.report.page import write_inspection
    from convolve.workflow.recipes import recipe_from

    if html is not None and not html.absolute().parent.is_dir():
        raise UserError(f"--html {html}: there is no folder {html.parent}")
    recipe = recipe_from(data, settings or [])
    dataset = read_dataset(recipe.data.path, missing="skip", task=recipe.task)
    if dataset.has_masks:
        _look_at_masks(dataset, recipe.masks, html, as_json=as_json)
        return
    if dataset.has_boxes:
        _look_at_boxes(dataset, html, as_json=as_json)
        return
    with progress_bar() as progress:
        inspection = inspect_dataset(dataset, progress=progress)
    if html is not None:
        write_inspection(html, inspection, dataset)
        say(f"page: {html}")
    if as_json:
        print_json(inspection.as_json())
        return
    print(f"{inspection.name} ({inspection.form}): {inspection.images} images of {len(inspection.classes)} classes")
    _print_counts(inspection)
    for line in (*_sizes(inspection), *_faults(inspection), *_copies(inspection)):
        print(line)
    for sentence in inspection.advice:
        print(f"* {sentence}")


def _look_at_masks(dataset: "Dataset", masks: "MasksSection", html: Path | None, *, as_json: bool) -> None:
    from convolve.data.masks.inspection import inspect_masks
    from convolve.data.masks.settling import MaskOptions, settle_masks
    from convolve.see.mask_summary import class_table, lines
    from convolve.see.report.segmentation_inspection import write_mask_inspection

    with progress_bar() as progress:
        dataset = settle_masks(dataset, MaskOptions(**masks.model_dump()), progress)
        found = inspect_masks(dataset, progress=progress)
    if html is not None:
        write_mask_inspection(html, found, dataset)
        say(f"page: {html}")
    if as_json:
        print_json(found.as_json())
        return
    files = found.files
    print(f"{files.name} ({files.form}): {files.images} images with masks of {len(files.classes)} classes")
    print_table(*class_table(found))
    for line in (*lines(found), *_sizes(files, fit=False), *_faults(files), *_copies(files)):
        print(line)
    for sentence in found.advice:
        print(f"* {sentence}")


def _look_at_boxes(dataset: "Dataset", html: Path | None, *, as_json: bool) -> None:
    from convolve.data.boxes.inspection import count_table, inspect_boxes, words
    from convolve.data.content import content_hashes
    from convolve.see.report.detection_inspection import write_detection_inspection

    with progress_bar() as progress:
        found = inspect_boxes(dataset, content_hashes(dataset, progress=progress), progress)
    if html is not None:
        write_detection_inspection(html, found, dataset)
        say(f"page: {html}")
    if as_json:
        print_json(found.as_json())
        return
    files = found.files
    print(
        f"{files.name} ({files.form}): {files.images} images with {found.total} boxes of {len(dataset.classes)} classes"
    )
    print_table(*count_table(found))
    for line in (*words(found), *_sizes(files, fit=False), *_faults(files), *_copies(files)):
        print(line)
    for sentence in found.advice:
        print(f"* {sentence}")


def _print_counts(found: "Inspection") -> None:
    splits = list(found.split_counts)
    rows: list[list[object]] = [
        [name, *(by_split.get(split, 0) for split in splits), sum(by_split.values())]
        for name, by_split in found.counts.items()
    ]
    if found.unlabelled:
        rows.append(["(no label)", *("" for _ in splits), found.unlabelled])
    # An image of several labels counts in several rows, so that columns need not add up to this.
    rows.append(["images", *found.split_counts.values(), found.images])
    print_table(["class", *splits, "all"], rows)


def _sizes(found: "Inspection", *, fit: bool = True) -> Iterator[str]:
    if found.height and found.width and found.aspect:
        yield f"height {_spread(found.height)}, width {_spread(found.width)} pixels (least / median / greatest)"
    if fit and found.aspect:
        yield f"width / height {_spread(found.aspect)}; fit={found.fit}: {found.fit_reason}"
    if found.colours:
        yield "stored as " + ", ".join(f"{mode} ({count})" for mode, count in found.colours.items())
    if found.mean:
        yield f"mean {_values(found.mean)}, standard deviation {_values(found.std)}, of values from 0 to 1"


def _faults(found: "Inspection") -> Iterator[str]:
    from convolve.data.dataset import Note

    notes = [problem for problem in found.problems if isinstance(problem, Note)]
    left_out = [problem for problem in found.problems if not isinstance(problem, Note)]
    for what, entries in (("broken", found.broken), ("left out", left_out), ("noted", notes)):
        if entries:
            yield f"{what}: {len(entries)}"
            yield from (f"  {problem.where}: {problem.what}" for problem in entries[:_SHOWN])
            yield from _rest(len(entries))


def _copies(found: "Inspection") -> Iterator[str]:
    exact = [copies for copies in found.copies if copies.kind == "exact"]
    near = [copies for copies in found.copies if copies.kind == "near"]
    for what, groups in (
        ("the same file several times", exact),
        ("nearly the same picture", near),
        ("copies with different labels", found.conflicts),
        ("leaks: copies in more than one split", found.leaks),
    ):
        if groups:
            yield f"{what}: {len(groups)} groups"
            yield from (f"  {_members(copies)}" for copies in groups[:_SHOWN])
            yield from _rest(len(groups))
    if found.near_skipped:
        yield f"near duplicates: {found.near_skipped}"


def _members(copies: "Copies") -> str:
    words = [
        f"{name} ({', '.join(filter(None, (' + '.join(labels), split)))})"
        for name, labels, split in zip(copies.names, copies.labels, copies.splits, strict=True)
    ]
    more = len(words) - _SHOWN
    return " = ".join(words[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _rest(count: int) -> Iterator[str]:
    if count > _SHOWN:
        yield f"  and {count - _SHOWN} more (--json lists all)"


def _spread(spread: "Spread") -> str:
    return f"{spread.least:.4g} / {spread.median:.4g} / {spread.greatest:.4g}"


def _values(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
