"""Tables of a report on boxes: rows of text, for a template that only sets them."""

from collections.abc import Iterator, Mapping
from typing import Any

from convolve.see.report.detection_content import DetectionReport
from convolve.see.report.numbers import figure, percent, percent_range, score_words, unbroken
from convolve.see.report.tables import origin_rows

_SHARES = {
    "map50": ("mAP@.5", "mean over classes of the average precision; a box is right when it overlaps by half (IoU .5)"),
    "map": ("mAP", "the same, mean over the overlaps .5, .55, ... .95: how well boxes fit counts as well (COCO)"),
    "map75": ("mAP@.75", "the same at IoU .75: only boxes that fit closely are right"),
}
SIZES = {"small": "small (under 32 x 32 px)", "medium": "medium (to 96 x 96 px)", "large": "large (from 96 x 96 px)"}
"""COCO's groups of objects, by area."""

ERRORS = {
    "class": ("wrong class", "the box overlaps an object of another class by half or more"),
    "localisation": ("poor fit", "the class is right, but the box overlaps the object by less than half"),
    "both": ("poor fit and wrong class", "the box overlaps an object of another class by less than half"),
    "duplicate": ("duplicate", "a second box on an object that was found already"),
    "background": ("background", "the box is on nothing that is annotated; often an annotation is missing there"),
    "missed": ("missed", "an annotated object without a box, not even one of a poor fit or of another class"),
}
"""Kinds of errors: what they are called, and what they are (Bolya et al., ECCV 2020)."""

_MORE_SHARES = {
    "average_recall_100": ("average recall", "mean over the same overlaps, of all boxes, whatever their probability"),
    "voc_2007_map50": ("mAP@.5 as in VOC 2007", "at 11 recalls, to compare with papers of that time"),
    "precision": ("precision", "of the boxes from the threshold on, the share that is right"),
    "recall": ("recall", "of the objects, the share that has such a box"),
    "f1": ("F1", "harmonic mean of the two"),
}


def figure_rows(results: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name, value, what it means) of every figure on the whole split."""
    if results["n"] == 0:
        for name, value in results.items():
            if name != "n" and isinstance(value, float):
                named = _SHARES[name][0] if name in _SHARES else score_words(name)
                yield named, figure(value), "on the validation images, which chose the model"
        return
    for key, (name, meaning) in (_SHARES | _MORE_SHARES).items():
        if results.get(key) is not None:
            interval = results.get(f"{key}_ci95")
            spread = f" ({percent_range(interval)})" if interval else ""
            yield name, unbroken(f"{percent(results[key])}{spread}"), meaning
    yield "threshold", figure(results["threshold"]), "boxes from this probability on are shown and counted"
    if results.get("proposal_recall") is not None:
        meaning = "objects that a proposal overlaps by half: what is not proposed cannot be found"
        yield "recall of the proposals", percent(results["proposal_recall"]), meaning
    others = results.get("uncounted_objects")
    aside = f"annotated in these images; {others:,} others (difficult, crowds) count nowhere" if others else ""
    yield "objects", f"{results['objects']:,}", aside or "annotated in these images"


def class_rows(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every class: its figures as text, and "ap50" and "interval" as numbers in [0, 1] (or None) for a bar."""
    for name, row in results["per_class"].items():
        interval = row["ap50_ci95"]
        yield {
            "class": name,
            "objects": f"{row['objects']:,}",
            "images": f"{row['images']:,}",
            "ap50": row["ap50"],
            "interval": interval,
            "ap50 in words": percent(row["ap50"]),
            "interval in words": percent_range(interval) if interval else "",
            "ap": percent(row["ap"]),
            "precision": percent(row["precision"]),
            "recall": percent(row["recall"]),
            "f1": percent(row["f1"]),
        }


def size_rows(results: Mapping[str, Any]) -> dict[str, float]:
    """AP of small, medium and large objects, by words; only of sizes that occur."""
    by_size = results.get("map_by_size") or {}
    return {SIZES.get(name, name): value for name, value in by_size.items() if value is not None}


def error_rows(results: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """(kind in words, how many, what mAP@.5 would gain without them) of each kind of error; none without objects."""
    counts, gains = results["errors"]["counts"], results["errors"]["map50_gains"]
    return [(ERRORS[kind][0], count, gains[kind]) for kind, count in counts.items()] if gains else []


def proposal_rows(results: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """(how many proposals, (recall at IoU .5, at .7, mean average best overlap)); none without proposals."""
    tops = {name: row for name, row in (results.get("proposals") or {}).items() if name.startswith("top")}
    return [
        (
            f"the first {int(name.removeprefix('top')):,}",
            [percent(row["recall_50"]), percent(row["recall_70"]), percent(row["mean_average_best_overlap"])],
        )
        for name, row in tops.items()
    ]


def network_rows(report: DetectionReport) -> Iterator[tuple[str, str]]:
    """(name, value) of the facts about the network."""
    network = report.network
    yield from origin_rows(network)
    yield "how it finds objects", f"{network.rung}: {network.rung_about} ({network.rung_source})"
    if network.proposals:
        yield "proposals", network.proposals
    if network.anchors:
        yield "anchors", network.anchors
    yield "overlapping boxes", network.suppression
    bands = {1: "grey", 3: "RGB"}.get(network.channels, f"{network.channels} bands")
    pieces = f"; trained on pieces of {network.crop} x {network.crop} pixels" if network.crop else ""
    yield "input", f"{bands}; longest side {network.side:,} pixels{pieces}"
