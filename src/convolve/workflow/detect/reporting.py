"""The report of a run on boxes, and the table of its predictions."""

import csv
import io
import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.data.decoding import decode
from convolve.deploy.detection.model import DetectionModel, load_detection_model
from convolve.networks.catalogue import find_architecture
from convolve.networks.detectors import DETECTORS
from convolve.networks.pretrained import Weights
from convolve.randomness import numpy_generator
from convolve.recipe.file import write_recipe
from convolve.recipe.schema import Recipe
from convolve.run.files import write_atomically
from convolve.run.folder import Run
from convolve.run.history import read_history
from convolve.see.box_drawing import BoxMark, BoxPicture, Kind, cut_out
from convolve.see.report.content import DataSummary, Member
from convolve.see.report.detection_content import BoxExample, DetectionReport, DetectorFacts
from convolve.see.report.detection_page import write_detection_report
from convolve.workflow.build import recipe_weights
from convolve.workflow.data import Member as Rows
from convolve.workflow.detect.data import PreparedBoxes
from convolve.workflow.detect.evidence import looks_at_boxes
from convolve.workflow.detect.judging import JudgedBoxes, judge_boxes
from convolve.workflow.detect.marks import marks_of
from convolve.workflow.detect.planning import BoxPlan
from convolve.workflow.detect.training import HeldOutBoxes
from convolve.workflow.results import own_model

_WORST, _RANDOM, _PIECES = 6, 4, 12
_PROBLEMS_SHOWN = 50


def report_boxes(
    run: Run, plan: BoxPlan, prepared: PreparedBoxes, held_out: Sequence[HeldOutBoxes], results: dict[str, Any]
) -> None:
    """Write `report.html` and `predictions.csv`."""
    judged = judge_boxes(plan, prepared, held_out)
    own = own_model(held_out, "map")
    _write_predictions(run, prepared, judged)
    model = load_detection_model(run.model)
    recipe, dataset = plan.recipe, prepared.dataset
    pictures = _Pictures(prepared, judged[0]) if judged else None
    write_detection_report(
        run.report,
        DetectionReport(
            title=f"{dataset.name}: {recipe.detect.name} on {recipe.network.name}, {recipe.start.name}",
            command=f"convolve train {shlex.quote(str(run.recipe))}",
            created=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
            recipe_toml=write_recipe(recipe, plan.reasons),
            data=_data_summary(plan, prepared, own.member),
            network=_network_facts(plan, model, own),
            results=judged[0].results if judged else {"n": 0, **own.validation},
            split=judged[0].split if judged else "validation",
            chosen_on_split=not judged,
            reasons=[*(f"{key}: {why}." for key, why in plan.reasons.items()), *own.notes],
            history=read_history(run.member(own.member.name) if own.member.name else run.folder),
            best_epoch=own.best_epoch,
            members=[
                Member(name=one["name"], results={key: value for key, value in one.items() if key != "name"})
                for one in results.get("members", [])
            ],
            worst=pictures.worst() if pictures else (),
            random=pictures.random() if pictures else (),
            false_alarms=pictures.pieces("false alarm") if pictures else (),
            missed=pictures.pieces("missed") if pictures else (),
            looks_at=looks_at_boxes(run, prepared, judged[0], pictures.marks) if pictures else None,
            timings={"training": results["seconds"]},
            environment=run.read("environment"),
        ),
    )


class _Pictures:
    """Judged images with their boxes.

    Args:
        prepared: the images.
        judged: what was found in them.
    """

    def __init__(self, prepared: PreparedBoxes, judged: JudgedBoxes) -> None:
        self._prepared = prepared
        self._judged = judged
        self._rows = judged.results["per_image"]

    @cached_property
    def marks(self) -> list[list[BoxMark]]:
        """Of each image."""
        classes, threshold = self._prepared.dataset.classes, self._judged.results["threshold"]
        return [
            marks_of(self._prepared.truth(int(row)), found, classes, threshold=threshold)
            for row, found in zip(self._judged.rows, self._judged.detections, strict=True)
        ]

    def worst(self) -> list[BoxExample]:
        """The smallest F1 first; images without any box are not among them."""
        scores = [2.0 if row["f1"] is None else row["f1"] for row in self._rows]
        return [self._example(place) for place in np.argsort(scores, kind="stable")[:_WORST] if scores[place] <= 1]

    def random(self) -> list[BoxExample]:
        """Drawn without looking at how they fared."""
        places = numpy_generator("images of a report").permutation(len(self._rows))[:_RANDOM]
        return [self._example(int(place)) for place in np.sort(places)]

    def pieces(self, kind: Kind) -> list[BoxPicture]:
        """Single boxes of a kind: of detections the most probable, of objects some evenly spread, of many images."""
        found = [
            (place, number, mark.probability)
            for place in range(len(self._rows))
            for number, mark in enumerate(self.marks[place])
            if mark.kind == kind
        ]
        if all(probability is None for _, _, probability in found):
            chosen = [
                found[place]
                for place in np.unique(np.linspace(0, len(found) - 1, min(len(found), _PIECES)).astype(int))
            ]
        else:
            chosen = sorted(found, key=lambda one: -(one[2] or 0.0))[:_PIECES]
        return [cut_out(self._picture(place), number) for place, number, _ in chosen]

    def _example(self, place: int) -> BoxExample:
        row = self._rows[place]
        return BoxExample(self._picture(place), row["found"], row["missed"], row["false_alarms"])

    def _picture(self, place: int) -> BoxPicture:
        sample = self._prepared.dataset.samples[int(self._judged.rows[place])]
        return BoxPicture(sample.name, decode(sample.image, channels=3), tuple(self.marks[place]))


def _write_predictions(run: Run, prepared: PreparedBoxes, judged: Sequence[JudgedBoxes]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    figures = ("objects", "found", "missed", "false_alarms")
    writer.writerow(["image", "group", "judged", *figures, "f1"])
    for one in judged:
        for row, found in zip(one.rows.tolist(), one.results["per_image"], strict=True):
            score = "" if found["f1"] is None else f"{found['f1']:.6f}"
            group = prepared.dataset.samples[row].group or ""
            writer.writerow([found["name"], group, one.split, *(found[name] for name in figures), score])
    write_atomically(run.predictions, text.getvalue())


def _rows_by_split(plan: BoxPlan, prepared: PreparedBoxes, member: Rows) -> dict[str, NDArray[np.int64]]:
    rows = {"train": member.train, "validation": member.validation, "test": member.held_out}
    if plan.recipe.folds:
        rows = {"cross-validated": prepared.rows("train"), "test": member.held_out}
    return {split: some for split, some in rows.items() if len(some)}


def _data_summary(plan: BoxPlan, prepared: PreparedBoxes, member: Rows) -> DataSummary:
    dataset = prepared.dataset
    rows = _rows_by_split(plan, prepared, member)
    return DataSummary(
        name=dataset.name,
        form=dataset.form,
        classes=dataset.classes,
        counts={split: _objects(prepared, some) for split, some in rows.items()},
        images={split: len(some) for split, some in rows.items()},
        licence=dataset.licence,
        left_out=[(problem.where, problem.what) for problem in prepared.left_out[:_PROBLEMS_SHOWN]],
        left_out_count=len(prepared.left_out),
        duplicates=len(prepared.hashes) - len(set(prepared.hashes)),
        split_by="group" if any(sample.group is not None for sample in dataset.samples) else "",
    )


def _objects(prepared: PreparedBoxes, rows: NDArray[np.int64]) -> list[int]:
    """Of each class, in these images; those that need not be found are left out."""
    labels = [one.index for row in rows.tolist() for one in prepared.truth(row).objects if one.kind == "object"]
    return [labels.count(index) for index in range(len(prepared.dataset.classes))]


def _network_facts(plan: BoxPlan, model: DetectionModel, own: HeldOutBoxes) -> DetectorFacts:
    recipe = plan.recipe
    source, rung = recipe_weights(recipe), DETECTORS[recipe.detect.name]
    side, crop = recipe.detect.side, recipe.detect.crop
    assert side != "auto"  # noqa: S101
    assert crop != "auto"  # noqa: S101
    return DetectorFacts(
        name=recipe.network.name,
        source=find_architecture(recipe.network.name).source,
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        trained_parameters=own.trained_parameters,
        weights=source.trained_on if isinstance(source, Weights) else str(source or "random"),
        licence=source.licence if isinstance(source, Weights) else "",
        loaded=tuple(plan.weights.rows()) if plan.weights else (),
        start=recipe.start.name,
        method=own.method,
        rung=recipe.detect.name,
        rung_about=rung.about,
        rung_source=rung.source,
        channels=model.preprocessing.channels,
        side=side,
        crop=crop if crop < side else 0,
        proposals=_proposals(recipe),
        anchors="" if rung.takes_regions else _anchors(recipe),
        suppression=_suppression(recipe),
    )


def _proposals(recipe: Recipe) -> str:
    if DETECTORS[recipe.detect.name].takes_regions:
        return f"selective search ({recipe.detect.proposals}; Uijlings et al., IJCV 2013)"
    return "the network's own" if recipe.detect.name == "faster" else ""


def _anchors(recipe: Recipe) -> str:
    def told(values: Any) -> Iterator[str]:
        return (f"{value:g}" for value in values)

    sizes, ratios = ", ".join(told(recipe.detect.anchor_sizes)), ", ".join(told(recipe.detect.anchor_ratios))
    return f"sides of {sizes} pixels, heights of {ratios} times the width"


def _suppression(recipe: Recipe) -> str:
    detect = recipe.detect
    if detect.soft_nms != "none":
        return f"overlapping boxes of a class lose probability ({detect.soft_nms} soft-NMS)"
    return f"of boxes of a class that overlap by more than {detect.nms_iou:g} (IoU) the most probable stays"
