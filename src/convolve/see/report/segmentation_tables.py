"""Tables of a report on masks: rows of text, for a template that only sets them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from convolve.see.report.numbers import figure, percent, percent_range, score_words
from convolve.see.report.segmentation_content import SegmentationReport
from convolve.see.report.tables import origin_rows

_SHARES = {
    "mean_iou": ("mean IoU", "mean over classes of intersection over union, all images together"),
    "pixel_accuracy": ("pixel accuracy", "share of pixels right"),
    "mean_accuracy": ("mean class accuracy", "mean over classes of the share of their pixels that are right"),
    "mean_image_iou": ("mean IoU by image", "mean over images of the mean IoU of the classes in each"),
    "frequency_weighted_iou": ("frequency-weighted IoU", "each class's IoU weighted by its share of the pixels"),
}
_NUMBERS = {
    "nll": ("negative log-likelihood", "nats a pixel; smaller is better"),
    "brier": ("Brier score", "0 is perfect, 2 the worst"),
    "calibration_error": ("calibration error", "how far probabilities are from the shares that come true"),
    "auroc": ("uncertainty finds errors", "probability that a wrong pixel is less certain than a right one (AUROC)"),
}


def figure_rows(results: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name, value, what it means) of every figure on the whole split."""
    if results["n"] == 0:
        for name, value in results.items():
            if name != "n" and isinstance(value, float):
                yield score_words(name), figure(value), "on the validation images, which chose the model"
        return
    for key, (name, meaning) in _SHARES.items():
        if results.get(key) is not None:
            interval = results.get(f"{key}_ci95")
            yield name, percent(results[key]) + (f" ({percent_range(interval)})" if interval else ""), meaning
    for key, (name, meaning) in _NUMBERS.items():
        if results.get(key) is not None:
            yield name, figure(results[key]), meaning
    yield "pixels judged", f"{results['pixels']:,}", f"{results['ignored_pixels']:,} others count nowhere"


def class_rows(report: SegmentationReport) -> Iterator[dict[str, Any]]:
    """Every class: its figures as text, and "iou" and "interval" as numbers in [0, 1] (or None) for a bar."""
    results = report.results
    confusion = np.array(results["confusion"], np.float64)
    names = [row["class"] for row in results["per_class"]]
    for index, row in enumerate(results["per_class"]):
        yield {
            "class": row["class"],
            "colour": report.colours[index],
            "share": percent(row["share"], 2),
            "images": f"{row['images']:,}",
            "iou": row["iou"],
            "interval": row["iou_ci95"],
            "iou in words": percent(row["iou"]),
            "interval in words": percent_range(row["iou_ci95"]) if row["iou_ci95"] else "",
            "f1": percent(row["f1"]),
            "precision": percent(row["precision"]),
            "recall": percent(row["recall"]),
            "calibration error": figure(results["calibration_error_per_class"][row["class"]]),
            "note": row["note"],
            "taken for": _taken_for(confusion[index], index, names),
        }


def network_rows(report: SegmentationReport) -> Iterator[tuple[str, str]]:
    """(name, value) of the facts about the network."""
    network = report.network
    yield from origin_rows(network)
    yield "map of scores", f"{network.rung}: {network.rung_about} ({network.rung_source})"
    bands = {1: "grey", 3: "RGB"}.get(network.channels, f"{network.channels} bands")
    yield "input", f"{bands}; images resized by {network.scale:g}"
    yield "trained on", f"{network.trained_on} of {network.crop} x {network.crop} pixels"


def data_rows(report: SegmentationReport) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(class, (images, share of the pixels) per split) and a last row of whole splits."""
    data = report.data
    for index, name in enumerate(data.classes):
        yield (
            name,
            [
                (
                    f"{counts[index]:,}",
                    percent(report.pixel_shares[split][index], 2) if split in report.pixel_shares else "",
                )
                for split, counts in data.counts.items()
            ],
        )
    yield "images in all", [(f"{data.images[split]:,}", "") for split in data.counts]


def _taken_for(row: Any, index: int, names: list[str]) -> str:
    others = np.where(np.arange(len(row)) == index, 0, row)
    most = int(others.argmax())
    return f"{names[most]} ({percent(others[most] / row.sum())})" if others[most] else ""
