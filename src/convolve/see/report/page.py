"""The pages: the report of a run, and what was found in a data set."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from convolve.data.dataset import Dataset, labels_of
from convolve.data.decoding import BrokenImage, decode_with_facts
from convolve.data.inspection import Inspection
from convolve.see.report import charts, tables
from convolve.see.report.caveats import caveats
from convolve.see.report.content import Report
from convolve.see.report.headline import headline, spread
from convolve.see.report.methods import methods_paragraph
from convolve.see.report.template import write_page
from convolve.see.report.thumbnails import shrink

_CLASSES_SHOWN, _IMAGES_OF_A_CLASS = 40, 9
_COPIES_SHOWN, _IMAGES_OF_A_COPY, _PROBLEMS_SHOWN = 40, 6, 200
_LARGEST_HW = (160, 160)


def write_report(path: Path, report: Report) -> None:
    """Write a report, whole or not at all: one file that asks for no other, without scripts.

    Args:
        path: of the HTML file.
        report: what to tell; names of classes and files may hold anything.

    Raises:
        UserError: no space is left.
    """
    write_page(
        path,
        "report.html.jinja",
        report=report,
        judged=report.results["n"] > 0,
        headline=headline(report),
        caveats=caveats(report),
        methods=methods_paragraph(report),
        spread=spread(report.members) if len(report.members) > 1 else "",
        tables=tables,
        flat_rows=tables.flat_rows,
        member_scores=(("accuracy", "accuracy"), ("balanced_accuracy", "balanced")),
        **_charts(report),
    )


def _charts(report: Report) -> dict[str, Markup | str]:
    results, members, history = report.results, report.members, report.history
    drawn: dict[str, Markup | str] = dict.fromkeys(
        ("loss_chart", "score_chart", "members_chart", "reliability_chart", "confusion_chart"), ""
    )
    if history:
        drawn["loss_chart"] = charts.loss_chart(history, report.best_epoch)
    if any(entry.get("validation") for entry in history):
        drawn["score_chart"] = charts.score_chart(history, report.score_name, report.best_epoch)
    if len(members) > 1:
        scores = [member.results["accuracy"] for member in members]
        intervals = [member.results["accuracy_ci95"] for member in members]
        drawn["members_chart"] = charts.members_chart([member.name for member in members], scores, intervals)
    if "reliability" in results:
        drawn["reliability_chart"] = charts.reliability_chart(results["reliability"])
    if "confusion" in results:
        drawn["confusion_chart"] = charts.confusion_chart(results["confusion"], report.data.classes)
    return drawn


def write_inspection(path: Path, inspection: Inspection, dataset: Dataset) -> None:
    """Write what was found in a data set, whole or not at all: one file that asks for no other, without scripts.

    Args:
        path: of the HTML file.
        inspection: of the data set.
        dataset: for pictures of its classes and of copies; images that cannot be decoded are left out.

    Raises:
        UserError: no space is left.
    """
    totals = {name: sum(by_split.values()) for name, by_split in inspection.counts.items()}
    sheet_rows = _rows_by_class(dataset)
    pictures = _pictures(dataset, [row for rows in sheet_rows.values() for row in rows])
    write_page(
        path,
        "inspection.html.jinja",
        labelled=True,
        totals=totals,
        largest=max(totals.values(), default=0),
        sheets={name: [pictures[row] for row in rows if row in pictures] for name, rows in sheet_rows.items()},
        **inspection_content(inspection, dataset),
    )


def inspection_content(inspection: Inspection, dataset: Dataset) -> dict[str, Any]:
    """What a page on a data set tells of its files, whatever its targets are.

    Args:
        inspection: of the data set.
        dataset: for pictures of copies; images that cannot be decoded are left out.
    """
    gravest_first = sorted(inspection.copies, key=lambda copies: (not copies.leak, not copies.labels_differ))
    copies = gravest_first[:_COPIES_SHOWN]
    problems = [*inspection.problems, *inspection.broken]
    return {
        "inspection": inspection,
        "splits": list(inspection.split_counts),
        "spreads": {
            "height, pixels": inspection.height,
            "width, pixels": inspection.width,
            "width / height": inspection.aspect,
            "bytes a file": inspection.file_bytes,
        },
        "copies": copies,
        "problems": problems[:_PROBLEMS_SHOWN],
        "problem_count": len(problems),
        "images": _pictures(dataset, [row for group in copies for row in group.rows[:_IMAGES_OF_A_COPY]]),
    }


def _rows_by_class(dataset: Dataset) -> dict[str, list[int]]:
    rows = defaultdict(list)
    for row, sample in enumerate(dataset.samples):
        for label in labels_of(sample):
            rows[label].append(row)
    shown = sorted(rows)[:_CLASSES_SHOWN]
    return {dataset.classes[label]: _evenly(rows[label]) for label in shown}


def _evenly(rows: list[int]) -> list[int]:
    places = np.linspace(0, len(rows) - 1, min(len(rows), _IMAGES_OF_A_CLASS)).astype(int)
    return [rows[place] for place in places]


def _pictures(dataset: Dataset, rows: Iterable[int]) -> dict[int, NDArray[np.uint8]]:
    pictures = {}
    for row in rows:
        try:
            decoded = decode_with_facts(dataset.samples[row].image, channels=3, at_least_hw=_LARGEST_HW)
        except BrokenImage:
            # The inspection lists it among the problems.
            continue
        # At once, since a scan may take a gigabyte and there may be hundreds.
        pictures[row] = shrink(decoded.pixels)
    return pictures
