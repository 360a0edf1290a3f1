"""A paragraph for the methods section of a paper, filled from the facts of the run."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from convolve.see.report.content import DataSummary, Report
from convolve.see.report.headline import headline
from convolve.see.report.numbers import counted, figure, figures, score_words

_FITS = {
    "pad": "scaled to fit and padded",
    "crop": "scaled to fill and cropped at the centre",
    "stretch": "stretched",
}
_USES = {"train": "training", "validation": "validation", "test": "testing", "cross-validated": "cross-validation"}


class Trained(Protocol):
    """What a report of any task tells of the training."""

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """An entry an epoch."""

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were kept."""

    @property
    def score_name(self) -> str:
        """The validation score that chose it."""


def methods_paragraph(report: Report) -> str:
    """What was done, in words that can be pasted into a paper."""
    recipe = tomllib.loads(report.recipe_toml)
    return " ".join(
        [*_network(report), *data_sentences(report.data), *training_sentences(report, recipe), *_evaluation(report)]
    )


def _network(report: Report) -> Iterator[str]:
    network, data = report.network, report.data
    yield (
        f"{network.name} ({network.source}; {network.parameters:,} parameters) was used to tell "
        f"{counted(len(data.classes), 'class')} apart."
    )
    yield f"It started from {network.weights} weights."
    yield network.method
    height, width = network.image_hw
    colour = "grey" if network.channels == 1 else "RGB"
    yield f"Its inputs were {colour} images of {height} x {width} pixels (height x width), {_FITS[network.fit]}."


def data_sentences(data: DataSummary) -> Iterator[str]:
    """What the images were and how they were divided."""
    parts = [
        f"{counted(count, 'image')} for {_USES.get(split, split)}" for split, count in data.images.items() if count
    ]
    together = f"; images of one {data.split_by} were kept in one split" if data.split_by else ""
    yield f"The data set {data.name} was used with {', '.join(parts)}{together}."
    if data.unlabelled:
        yield f"The labels of {counted(data.unlabelled, 'image')} were used neither for training nor for choosing."
    if data.left_out_count:
        yield f"Files or rows that could not be used: {data.left_out_count:,}."


def training_sentences(report: Trained, recipe: Mapping[str, Any]) -> Iterator[str]:
    """How long and with what settings it was trained; nothing where nothing was."""
    if not report.history:
        return
    tables = ("optimiser", "schedule", "train", "loss")
    optimiser, schedule, train, loss = (recipe.get(table, {}) for table in tables)
    settings = [
        f"{optimiser.get('name', 'the default optimiser')}",
        _setting("peak learning rate", optimiser.get("lr")),
        _setting("weight decay", optimiser.get("weight_decay")),
        _setting("batch size", train.get("batch_size")),
        f"{schedule['name']} schedule" if "name" in schedule else "",
        f"{loss['class_weights']} class weights" if loss.get("class_weights", "none") != "none" else "",
        _setting("label smoothing", loss.get("label_smoothing") or None),
    ]
    yield f"Training took {counted(len(report.history), 'epoch')} ({', '.join(filter(None, settings))})."
    augmentations = [name for name, value in recipe.get("augment", {}).items() if name != "preset" and value]
    if augmentations:
        yield f"Training images were augmented ({', '.join(augmentations)})."
    if report.best_epoch == 0:
        yield f"No epoch improved the validation {score_words(report.score_name)}; the first weights were kept."
    elif report.best_epoch is not None:
        yield (
            f"The weights of epoch {report.best_epoch} were kept, which had the best validation "
            f"{score_words(report.score_name)}."
        )


def _evaluation(report: Report) -> Iterator[str]:
    if report.results["n"] == 0:
        yield "No images were held out for testing."
    else:
        yield from _figures(report.results, headline(report))
    yield from software_sentence(report.environment)


def software_sentence(environment: Mapping[str, Any]) -> Iterator[str]:
    """The versions of what computed it, where they are known."""
    packages = environment.get("packages", {})
    software = [f"{name} {packages[name]}" for name in ("convolve", "torch", "timm") if name in packages]
    if software:
        yield f"Software: {', '.join(software)}."


def _figures(results: Mapping[str, Any], headline: str) -> Iterator[str]:
    yield (
        f"Probabilities were calibrated with temperature scaling (Guo et al., ICML 2017; T = "
        f"{figures(results['temperature'])}; expected calibration error {figure(results['ece'])}, "
        f"{figure(results['ece_before'])} before)."
    )
    yield f"Result: {headline}; {results['accuracy_ci95_method']}."


def _setting(name: str, value: Any) -> str:
    return "" if value is None or value == "auto" else f"{name} {value:g}"
