"""The page of a run on masks."""

from pathlib import Path

from markupsafe import Markup

from convolve.see.overlays import WRONG
from convolve.see.report import charts, segmentation_tables, tables
from convolve.see.report.headline import spread
from convolve.see.report.segmentation_charts import retained_chart
from convolve.see.report.segmentation_content import SegmentationReport
from convolve.see.report.segmentation_pictures import example_rows, uncertainty_scale
from convolve.see.report.segmentation_words import baseline, caveats, headline, least_certain, methods_paragraph
from convolve.see.report.template import write_page


def write_segmentation_report(path: Path, report: SegmentationReport) -> None:
    """Write a report, whole or not at all: one file that asks for no other, without scripts.

    Args:
        path: of the HTML file.
        report: what to tell; names of classes and files may hold anything.

    Raises:
        UserError: no space is left.
    """
    judged = report.results["n"] > 0
    write_page(
        path,
        "segmentation_report.html.jinja",
        report=report,
        judged=judged,
        headline=headline(report),
        baseline=baseline(report) if judged else "",
        least_certain=least_certain(report.results),
        caveats=caveats(report),
        methods=methods_paragraph(report),
        spread=spread(report.members, "mean_iou") if len(report.members) > 1 else "",
        tables=segmentation_tables,
        flat_rows=tables.flat_rows,
        member_scores=(("mean_iou", "mean IoU"), ("pixel_accuracy", "pixels right")),
        worst=example_rows(report.worst, report.colours),
        typical=example_rows(report.typical, report.colours),
        wrong=WRONG,
        scale=uncertainty_scale(),
        **_charts(report),
    )


def _charts(report: SegmentationReport) -> dict[str, Markup | str]:
    results, members, history = report.results, report.members, report.history
    drawn: dict[str, Markup | str] = dict.fromkeys(
        ("loss_chart", "score_chart", "members_chart", "reliability_chart", "confusion_chart", "retained_chart"), ""
    )
    if history:
        drawn["loss_chart"] = charts.loss_chart(history, report.best_epoch)
    if any(entry.get("validation") for entry in history):
        drawn["score_chart"] = charts.score_chart(history, report.score_name, report.best_epoch)
    if len(members) > 1:
        scores = [member.results["mean_iou"] for member in members]
        # Without an interval the dot alone is drawn.
        intervals = [
            member.results["mean_iou_ci95"] or [score, score] for member, score in zip(members, scores, strict=True)
        ]
        drawn["members_chart"] = charts.members_chart([member.name for member in members], scores, intervals)
    if results.get("reliability"):
        drawn["reliability_chart"] = charts.reliability_chart(results["reliability"])
    if results.get("retained"):
        drawn["retained_chart"] = retained_chart(results["retained"], results.get("least_certain") or ())
    if results.get("confusion"):
        drawn["confusion_chart"] = charts.confusion_chart(results["confusion"], report.data.classes, cells="percent")
    return drawn
