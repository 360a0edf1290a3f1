"""The page of a run on boxes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from convolve.see import box_drawing
from convolve.see.report import charts, detection_charts, detection_tables, tables
from convolve.see.report.content import Member
from convolve.see.report.detection_content import DetectionReport
from convolve.see.report.detection_words import caveats, count_agreement, headline, in_plain_words, methods_paragraph
from convolve.see.report.headline import spread
from convolve.see.report.template import write_page

_PIECE = 200
"""Pieces around single boxes are shown at most so large, pixels."""


def write_detection_report(path: Path, report: DetectionReport) -> None:
    """Write a report, whole or not at all: one file that asks for no other, without scripts.

    Args:
        path: of the HTML file.
        report: what to tell; names of classes and files may hold anything.

    Raises:
        UserError: no space is left.
    """
    results = report.results
    judged = results["n"] > 0
    scored = _scored(report)
    write_page(
        path,
        "detection_report.html.jinja",
        report=report,
        judged=judged,
        headline=headline(report),
        plain_words=in_plain_words(results) if judged else "",
        agreement=count_agreement(results["per_image"]) if judged else "",
        caveats=caveats(report),
        methods=methods_paragraph(report),
        spread=spread(scored, "map50") if len(scored) > 1 else "",
        tables=detection_tables,
        flat_rows=tables.flat_rows,
        error_meanings=detection_tables.ERRORS.values(),
        proposal_rows=detection_tables.proposal_rows(results),
        count_rows=tables.count_rows,
        member_scores=(("map50", "mAP@.5"), ("map", "mAP")),
        drawn=box_drawing.drawn,
        key=box_drawing.key,
        piece=_PIECE,
        **_charts(report),
    )


def _scored(report: DetectionReport) -> list[Member]:
    """Those trainings in whose held-out images there was an object."""
    return [member for member in report.members if member.results["map50"] is not None]


def _charts(report: DetectionReport) -> dict[str, Markup | str]:
    results, members, history = report.results, _scored(report), report.history
    drawn: dict[str, Markup | str] = dict.fromkeys(
        ("loss_chart", "score_chart", "members_chart", "curves_chart", "sizes_chart", "errors_chart", "counts_chart"),
        "",
    )
    if history:
        drawn["loss_chart"] = charts.loss_chart(history, report.best_epoch)
    if any(entry.get("validation") for entry in history):
        drawn["score_chart"] = charts.score_chart(history, report.score_name, report.best_epoch)
    if len(members) > 1:
        scores = [member.results["map50"] for member in members]
        # Without an interval the dot alone is drawn.
        intervals = [
            member.results["map50_ci95"] or [score, score] for member, score in zip(members, scores, strict=True)
        ]
        drawn["members_chart"] = charts.members_chart([member.name for member in members], scores, intervals)
    return drawn | (_judged_charts(results) if results["n"] else {})


def _judged_charts(results: Mapping[str, Any]) -> dict[str, Markup | str]:
    drawn: dict[str, Markup | str] = {"counts_chart": detection_charts.counts_chart(results["per_image"])}
    if any(row["curve"] for row in results["per_class"].values()):
        drawn["curves_chart"] = detection_charts.curves_chart(results["per_class"])
    if sizes := detection_tables.size_rows(results):
        drawn["sizes_chart"] = detection_charts.sizes_chart(sizes)
    if errors := detection_tables.error_rows(results):
        drawn["errors_chart"] = detection_charts.errors_chart(errors)
    return drawn
