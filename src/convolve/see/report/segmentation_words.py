"""What a report on masks says in sentences: its first line, what to compare it with, and what limits it."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from convolve.errors import shown
from convolve.see.report.caveats import choosing_caveats, independence_caveats
from convolve.see.report.headline import IMAGES_OF
from convolve.see.report.methods import data_sentences, software_sentence, training_sentences
from convolve.see.report.numbers import counted, figure, percent, percent_range
from convolve.see.report.segmentation_content import SegmentationReport

_FEW_IMAGES, _FEW_OF_A_CLASS = 50, 5
_MUCH_IGNORED = 0.1
_LEAST_CERTAIN = 0.1
_MOSTLY_ONE = 0.5


def headline(report: SegmentationReport) -> str:
    """Mean IoU with its interval and pixel accuracy, in one sentence; or that there is none to report."""
    results = report.results
    if results["n"] == 0:
        return "No images were held out, so there is no mean IoU to report"
    images = counted(results["n"], IMAGES_OF[report.split])
    return (
        f"Mean IoU {with_interval(results, 'mean_iou')}, {percent(results['pixel_accuracy'])} of the pixels right, "
        f"on {images}"
    )


def with_interval(results: Mapping[str, Any], key: str) -> str:
    """A share with its 95 % interval, where it has one.

    >>> with_interval({"mean_iou": 0.623, "mean_iou_ci95": [0.601, 0.642]}, "mean_iou")
    '62.3 % (95 % interval 60.1–64.2 %)'
    """
    interval = results.get(f"{key}_ci95")
    return percent(results[key]) + (f" (95 % interval {percent_range(interval)})" if interval else "")


def baseline(report: SegmentationReport) -> str:
    """What giving every pixel the commonest class would reach, to compare with; "" where no pixel counts."""
    rows = [row for row in report.results["per_class"] if row["pixels"]]
    if not rows:
        return ""
    largest = max(rows, key=lambda row: row["pixels"])
    # That class's IoU is its share, every other one's is 0.
    share = largest["share"]
    return (
        f"Always answering '{largest['class']}' would reach a mean IoU of {percent(share / len(rows))}, with "
        f"{percent(share)} of the pixels right."
    )


def least_certain(results: Mapping[str, Any]) -> str:
    """How many of the errors are where the network is least certain; "" where that was not computed."""
    rows = results.get("least_certain") or []
    at = min(rows, key=lambda row: abs(row["share"] - _LEAST_CERTAIN), default=None)
    if at is None or at["errors"] is None:
        return ""
    return f"The least certain {100 * at['share']:.3g} % of the pixels hold {percent(at['errors'])} of the errors."


def caveats(report: SegmentationReport) -> list[str]:
    """Sentences, the gravest first; none is boilerplate that holds for every run."""
    if report.results["n"] == 0:
        return list(choosing_caveats(report))
    return [
        *choosing_caveats(report),
        *_size(report.results),
        *_against_baseline(report.results),
        *_classes(report.results),
        *_left_out(report),
        *independence_caveats(report.data),
    ]


def methods_paragraph(report: SegmentationReport) -> str:
    """What was done, in words that can be pasted into a paper."""
    recipe = tomllib.loads(report.recipe_toml)
    return " ".join(
        [
            *_network(report),
            *data_sentences(report.data),
            *_sampling(report, recipe),
            *training_sentences(report, recipe),
            *_evaluation(report),
        ]
    )


def _size(results: Mapping[str, Any]) -> Iterator[str]:
    groups = results.get("groups")
    if groups is not None and groups < _FEW_IMAGES:
        yield f"The images come from only {counted(groups, 'group')}: even the interval is rough."
    elif results["n"] < _FEW_IMAGES:
        yield (
            f"This figure rests on {counted(results['n'], 'image')}: pixels of one image are alike, so their number "
            "makes it no surer. Read the interval, not the figure."
        )


def _against_baseline(results: Mapping[str, Any]) -> Iterator[str]:
    rows = [row for row in results["per_class"] if row["pixels"]]
    if not rows:
        return
    largest = max(rows, key=lambda row: row["pixels"])
    always = f"'{largest['class']}' for every pixel"
    if results["pixel_accuracy"] <= largest["share"]:
        yield f"Answering {always} would get as many pixels right or more: {percent(largest['share'])}."
    elif largest["share"] > _MOSTLY_ONE:
        yield (
            f"Answering {always} would get {percent(largest['share'])} of them right already: read the IoU of each "
            "class, not pixel accuracy."
        )


def _classes(results: Mapping[str, Any]) -> Iterator[str]:
    rows: Sequence[Mapping[str, Any]] = results["per_class"]
    absent = [row["class"] for row in rows if not row["pixels"]]
    few = [row["class"] for row in rows if row["pixels"] and row["images"] < _FEW_OF_A_CLASS]
    if absent:
        yield f"Not one of these images shows {shown(absent)}: nothing is known about how well it is found."
    if few:
        yield f"{shown(few)}: on fewer than {_FEW_OF_A_CLASS} images each; the figures of such a class are hints."


def _left_out(report: SegmentationReport) -> Iterator[str]:
    ignored, pixels = report.results["ignored_pixels"], report.results["pixels"]
    eroded = tomllib.loads(report.recipe_toml).get("segment", {}).get("erode", 0)
    if eroded:
        yield (
            f"Pixels within {eroded} of a border between classes count nowhere, as in the ISPRS benchmark; figures "
            "that count them are lower."
        )
    elif ignored > _MUCH_IGNORED * (ignored + pixels):
        yield f"{percent(ignored / (ignored + pixels))} of the pixels have no class and count nowhere."


def _network(report: SegmentationReport) -> Iterator[str]:
    network = report.network
    yield (
        f"{network.name} ({network.source}) was used to give each pixel one of "
        f"{counted(len(report.data.classes), 'class')}, by {network.rung}: {network.rung_about} "
        f"({network.rung_source}; {network.parameters:,} parameters in all)."
    )
    yield f"It started from {network.weights} weights."
    yield network.method


def _sampling(report: SegmentationReport, recipe: Mapping[str, Any]) -> Iterator[str]:
    network, segment, loss = report.network, recipe.get("segment", {}), recipe.get("loss", {})
    scaled = "" if network.scale == 1 else f" of images resized by {network.scale:g}"
    around = ", cut around classes that are drawn first" if segment.get("sampling") == "classes" else ""
    yield (
        f"It was trained on {network.trained_on} of {network.crop} x {network.crop} pixels{scaled}{around}, with "
        f"{loss.get('name', 'softmax')} loss over the pixels that have a class{_weights_in_words(loss)}."
    )


def _weights_in_words(loss: Mapping[str, Any]) -> str:
    """How pixels of rare classes count, from a recipe's table of the loss."""
    return {
        "sqrt": ", weighted by the inverse root of their class's frequency",
        "balanced": ", weighted by the inverse of their class's frequency",
        "median-frequency": ", weighted by median frequency balancing (Eigen and Fergus 2015)",
    }.get(loss.get("class_weights", "none"), "")


def _evaluation(report: SegmentationReport) -> Iterator[str]:
    results = report.results
    if results["n"] == 0:
        yield "No images were held out for testing."
    else:
        yield f"Result: {headline(report)}; {results['mean_iou_ci95_method']}."
        if results.get("calibration_error") is not None:
            yield f"The expected calibration error over pixels was {figure(results['calibration_error'])}."
        if certain := least_certain(results):
            source = f", by the entropy of {report.uncertainty}" if report.uncertainty else ", by predictive entropy"
            yield f"{certain.removesuffix('.')}{source}."
    yield from software_sentence(report.environment)
