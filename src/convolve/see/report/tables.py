"""Tables of a report: rows of text, for a template that only sets them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from convolve.errors import shown
from convolve.see.report.content import DataSummary, Origin, Report
from convolve.see.report.numbers import counted, figure, figures, percent, percent_range, score_words


def figure_rows(results: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name, value, what it means) of every figure on the whole split."""
    if results["n"] == 0:
        for name, value in results.items():
            if name != "n":
                yield score_words(name), figure(value), "on the validation images, which chose the model"
        return
    exact = "accuracy_is" in results
    meaning = "share of images right in every label" if exact else "share of images right"
    yield "exact match" if exact else "accuracy", _with_interval(results, "accuracy"), meaning
    optional = {
        "balanced_accuracy": ("balanced accuracy", "mean over classes; a small class counts as much as a large one"),
        "top5_accuracy": ("top-5 accuracy", "true class among the five most probable"),
        "macro_f1": ("macro F1", "mean over classes of the harmonic mean of precision and recall"),
        "mean_average_precision": (
            "mean average precision",
            "mean over classes of the area below precision against recall; no threshold enters",
        ),
    }
    for key, (name, words) in optional.items():
        if key in results:
            yield name, _with_interval(results, key), words
    yield "negative log-likelihood", _before(results, "nll"), "nats; smaller is better"
    if "brier" in results:
        yield "Brier score", figure(results["brier"]), "0 is perfect, 2 the worst"
    yield "calibration error", _before(results, "ece"), "how far probabilities are from the shares that come true"
    yield "temperature", figures(results["temperature"]), "what outputs are divided by; above 1: it was too sure"
    if "threshold" in results:
        yield "threshold", figure(results["threshold"]), "a class is predicted from this probability on"


def class_rows(results: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Every class with its figures and what it is most often taken for."""
    confusion = np.array(results["confusion"]) if "confusion" in results else None
    names = [row["class"] for row in results["per_class"]]
    for index, row in enumerate(results["per_class"]):
        interval = f" ({percent_range(row['recall_ci95'])})" if row["recall_ci95"] else ""
        yield {
            "class": row["class"],
            "images": f"{row['n']:,}",
            "precision": percent(row["precision"]),
            "recall": percent(row["recall"]) + interval,
            "f1": figure(row["f1"]),
            "average precision": figure(row.get("average_precision")),
            "taken for": "" if confusion is None else _taken_for(confusion[index], index, names),
            "note": row["note"],
        }


def count_rows(data: DataSummary) -> Iterator[tuple[str, list[str]]]:
    """(class, images per split) and a last row of whole splits."""
    for index, name in enumerate(data.classes):
        yield name, [f"{counts[index]:,}" for counts in data.counts.values()]
    yield "images in all", [f"{data.images[split]:,}" for split in data.counts]


def network_rows(report: Report) -> Iterator[tuple[str, str]]:
    """(name, value) of the facts about the network."""
    network = report.network
    height, width = network.image_hw
    yield from origin_rows(network)
    yield "input", f"{height} x {width} pixels, {'grey' if network.channels == 1 else 'RGB'}, fit: {network.fit}"


def origin_rows(network: Origin) -> Iterator[tuple[str, str]]:
    """(name, value) of what is known of any network and its weights."""
    yield "architecture", f"{network.name} ({network.source})"
    yield "parameters", f"{network.parameters:,}, of which {network.trained_parameters:,} were trained"
    yield "start", f"{network.start}, from {network.weights} weights"
    if network.licence:
        yield "licence of the weights", network.licence
    for what, names in network.loaded:
        yield f"tensors {what}", f"{len(names)}: {shown(names)}"


def flat_rows(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, value) of nested plain values, names joined with spaces."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat_rows(value, f"{prefix}{name} ")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{name}", str(value)


def _with_interval(results: Mapping[str, Any], key: str) -> str:
    interval = results.get(f"{key}_ci95")
    return percent(results[key]) + (f" ({percent_range(interval)})" if interval else "")


def _before(results: Mapping[str, Any], key: str) -> str:
    return f"{figure(results[key])} ({figure(results[f'{key}_before'])} before calibration)"


def _taken_for(row: Any, index: int, names: list[str]) -> str:
    others = np.where(np.arange(len(row)) == index, 0, row)
    most = int(others.argmax())
    return f"{names[most]} ({counted(int(others[most]), 'time')})" if others[most] else ""
