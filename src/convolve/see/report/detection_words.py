"""What a report on boxes says in sentences: its first lines, how far counts agree, and what limits it."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from convolve.errors import shown
from convolve.see.report.caveats import independence_caveats
from convolve.see.report.detection_content import DetectionReport
from convolve.see.report.headline import IMAGES_OF
from convolve.see.report.methods import data_sentences, software_sentence, training_sentences
from convolve.see.report.numbers import counted, percent, percent_range

_FEW_IMAGES, _FEW_OBJECTS = 50, 20
_WORDS_OF_SCORES = {"map50": "mAP@.5", "map": "mAP", "map75": "mAP@.75"}


def headline(report: DetectionReport) -> str:
    """mAP@.5 with its interval and what it rests on, in one sentence; or that there is none to report."""
    results = report.results
    if results["n"] == 0:
        return "No images were held out, so there is no mAP@.5 to report"
    return (
        f"mAP@.5 {with_interval(results, 'map50')}, on {counted(results['objects'], 'object')} in "
        f"{counted(results['n'], IMAGES_OF[report.split])}"
    )


def with_interval(results: Mapping[str, Any], key: str) -> str:
    """A share with its 95 % interval, where it has one; a dash where it is not known.

    >>> with_interval({"map50": 0.912, "map50_ci95": [0.887, 0.931]}, "map50")
    '91.2 % (95 % interval 88.7–93.1 %)'
    """
    interval = results.get(f"{key}_ci95")
    return percent(results[key]) + (f" (95 % interval {percent_range(interval)})" if interval else "")


def in_plain_words(results: Mapping[str, Any]) -> str:
    """How many objects are found and how many boxes are wrong, for who never heard of mAP; "" without objects.

    >>> in_plain_words({"recall": 0.934, "precision": 0.951, "threshold": 0.5})
    'Of 100 objects, about 93 are found; of 100 boxes shown, about 5 are false alarms, at the threshold 0.50.'
    """
    recall, precision = results["recall"], results["precision"]
    if recall is None:
        return ""
    alarms = (
        "no box is shown"
        if precision is None
        else f"of 100 boxes shown, about {100 * (1 - precision):.0f} are false alarms"
    )
    return f"Of 100 objects, about {100 * recall:.0f} are found; {alarms}, at the threshold {results['threshold']:.2f}."


def count_agreement(per_image: Sequence[Mapping[str, Any]]) -> str:
    """How far the number of boxes is from the number of objects, image by image; "" without images.

    >>> count_agreement([{"objects": 10, "found": 9, "false_alarms": 3}, {"objects": 4, "found": 4, "false_alarms": 0}])
    'The count is exact in 1 of 2 images and off by 1.0 an image on average; in all, 16 boxes for 14 objects (+14.3 %).'
    """
    if not per_image:
        return ""
    true = np.array([row["objects"] for row in per_image])
    given = np.array([row["found"] + row["false_alarms"] for row in per_image])
    apart = np.abs(given - true)
    total = int(true.sum())
    relative = f" ({100 * (int(given.sum()) - total) / total:+.1f} %)" if total else ""
    return (
        f"The count is exact in {int((apart == 0).sum()):,} of {counted(len(per_image), 'image')} and off by "
        f"{apart.mean():.1f} an image on average; in all, {int(given.sum()):,} boxes for "
        f"{counted(total, 'object')}{relative}."
    )


def caveats(report: DetectionReport) -> list[str]:
    """Sentences, the gravest first; none is boilerplate that holds for every run."""
    if report.results["n"] == 0:
        return list(_choosing(report))
    return [
        *_choosing(report),
        *_threshold(report.results),
        *_size(report.results),
        *_classes(report.results),
        *_proposals(report.results),
        *_copies(report),
        *independence_caveats(report.data),
    ]


def methods_paragraph(report: DetectionReport) -> str:
    """What was done, in words that can be pasted into a paper."""
    recipe = tomllib.loads(report.recipe_toml)
    return " ".join(
        [
            *_network(report),
            *data_sentences(report.data),
            *training_sentences(report, recipe),
            *_evaluation(report),
        ]
    )


def _choosing(report: DetectionReport) -> Iterator[str]:
    score = report.score_name
    if report.chosen_on_split:
        yield (
            f"The {report.split} {_WORDS_OF_SCORES.get(score, score)} of {percent(report.results[score])} chose the "
            "model, so it is better than what new images will give; keep a test split, or use folds, for a figure to "
            "publish."
        )
    if report.split == "out-of-fold":
        yield (
            "Each image was judged by a network that had not seen it, but the networks share most of their training "
            "images; the interval does not include how much another choice of folds would change."
        )


def _threshold(results: Mapping[str, Any]) -> Iterator[str]:
    if results["threshold_by"] == "these images":
        yield (
            "The threshold was chosen on these very images, so precision, recall, F1 and counts are better than what "
            "new images will give; mAP does not depend on it."
        )


def _size(results: Mapping[str, Any]) -> Iterator[str]:
    groups = results.get("groups")
    if groups is not None and groups < _FEW_IMAGES:
        yield f"The images come from only {counted(groups, 'group')}: even the interval is rough."
    elif results["n"] < _FEW_IMAGES:
        yield (
            f"This figure rests on {counted(results['n'], 'image')}: objects of one image are alike, so their number "
            "makes it no surer. Read the interval, not the figure."
        )


def _classes(results: Mapping[str, Any]) -> Iterator[str]:
    objects = {name: row["objects"] for name, row in results["per_class"].items()}
    absent = [name for name, count in objects.items() if not count]
    few = [name for name, count in objects.items() if 0 < count < _FEW_OBJECTS]
    if absent:
        yield f"Not one of these images shows {shown(absent)}: nothing is known about how well it is found."
    if few:
        yield f"{shown(few)}: fewer than {_FEW_OBJECTS} objects each; the figures of such a class are hints."


def _proposals(results: Mapping[str, Any]) -> Iterator[str]:
    reached, found = results.get("proposal_recall"), results["recall"]
    # Where what is not proposed is half of what is not found, more training cannot help.
    if reached is not None and found is not None and 1 - reached >= (1 - found) / 2 > 0:
        yield (
            f"Proposals reach only {percent(reached)} of the objects: at least half of what is missed is lost there, "
            "before the network looks."
        )


def _copies(report: DetectionReport) -> Iterator[str]:
    if report.data.duplicates:
        yield (
            f"{counted(report.data.duplicates, 'image')} are there more than once; copies were kept in one split, but "
            "the figure counts each."
        )


def _network(report: DetectionReport) -> Iterator[str]:
    network = report.network
    yield (
        f"{network.name} ({network.source}) was used to find objects of "
        f"{counted(len(report.data.classes), 'class')}, by {network.rung}: {network.rung_about} "
        f"({network.rung_source}; {network.parameters:,} parameters in all)."
    )
    yield f"It started from {network.weights} weights."
    yield network.method
    yield f"Images were resized to {network.side:,} pixels on their longest side."
    if network.proposals:
        yield f"Proposals: {network.proposals}."
    if network.anchors:
        yield f"Anchors: {network.anchors}."
    yield f"Overlapping boxes: {network.suppression}."


def _evaluation(report: DetectionReport) -> Iterator[str]:
    results = report.results
    if results["n"] == 0:
        yield "No images were held out for testing."
    else:
        yield f"Result: {headline(report)}; {results['ci95_method']}."
        if results.get("map") is not None:
            yield f"Over IoU .5 to .95, mAP was {percent(results['map'])}."
    yield from software_sentence(report.environment)
