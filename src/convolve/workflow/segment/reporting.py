"""The report of a run on masks, and the table of its predictions."""

import csv
import io
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.deploy.segmentation.model import SegmentationModel, load_segmentation_model
from convolve.deploy.segmentation.pictures import picture_of
from convolve.networks.catalogue import find_architecture
from convolve.networks.pretrained import Weights
from convolve.networks.score_maps import SCORE_MAPS
from convolve.recipe.file import write_recipe
from convolve.run.files import write_atomically
from convolve.run.folder import Run
from convolve.run.history import read_history
from convolve.see.inside.subject import Question, Subject
from convolve.see.report.content import DataSummary, LooksAt, Member
from convolve.see.report.segmentation_content import PixelExample, PixelNetworkFacts, SegmentationReport
from convolve.see.report.segmentation_page import write_segmentation_report
from convolve.workflow.build import recipe_weights
from convolve.workflow.data import Member as Rows
from convolve.workflow.explaining.evidence import looks_at
from convolve.workflow.explaining.segment import SegmenterExplainer
from convolve.workflow.results import own_model
from convolve.workflow.segment.data import PreparedMasks
from convolve.workflow.segment.judging import JudgedMasks, judge_maps
from convolve.workflow.segment.planning import MapPlan
from convolve.workflow.segment.training import HeldOutMasks

_WORST, _TYPICAL = 8, 4
_PROBLEMS_SHOWN = 50


def report_maps(
    run: Run, plan: MapPlan, prepared: PreparedMasks, held_out: Sequence[HeldOutMasks], results: dict[str, Any]
) -> None:
    """Write `report.html` and `predictions.csv`."""
    judged = judge_maps(plan, prepared, held_out)
    own = own_model(held_out, "mean_iou")
    _write_predictions(run, prepared, judged)
    model = load_segmentation_model(run.model)
    worst, typical, looks = _examples(run, prepared, judged[0]) if judged else ([], [], None)
    recipe, dataset = plan.recipe, prepared.dataset
    write_segmentation_report(
        run.report,
        SegmentationReport(
            title=f"{dataset.name}: {recipe.segment.name} on {recipe.network.name}, {recipe.start.name}",
            command=f"convolve train {shlex.quote(str(run.recipe))}",
            created=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
            recipe_toml=write_recipe(recipe, plan.reasons),
            data=_data_summary(plan, prepared, own.member),
            colours=model.colours,
            pixel_shares=_pixel_shares(plan, prepared, own.member),
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
            worst=worst,
            typical=typical,
            looks_at=looks,
            timings={"training": results["seconds"]},
            environment=run.read("environment"),
        ),
    )


def _examples(
    run: Run, prepared: PreparedMasks, judged: JudgedMasks
) -> tuple[list[PixelExample], list[PixelExample], LooksAt]:
    """The worst images, some around the median, and what was looked at in the worst; each by its own judge."""

    @cache
    def model_of(judge: str) -> SegmentationModel:
        return load_segmentation_model(Run(run.member(judge) if judge else run.folder).model)

    scores = judged.results["per_image"]
    ranked = [place for place in np.argsort([_rank(one) for one in scores], kind="stable") if _rank(scores[place]) <= 1]
    middle = max(0, len(ranked) // 2 - _TYPICAL // 2)
    worst, typical = ranked[:_WORST], ranked[max(middle, _WORST) : max(middle, _WORST) + _TYPICAL]

    def example(place: int) -> PixelExample:
        row, model = int(judged.rows[place]), model_of(judged.judges[place])
        image, found = prepared.pack.image(row), scores[place]
        segmentation = model.segment(image, valid=prepared.pack.valid(row))
        return PixelExample(
            name=found["name"],
            image=picture_of(image, model.preprocessing),
            truth=prepared.pack.mask(row),
            predicted=segmentation.labels,
            entropy=segmentation.entropy,
            pixel_accuracy=found["pixel_accuracy"],
            mean_iou=found["mean_iou"],
        )

    def mistake(place: int) -> tuple[Subject, Question, float] | None:
        row, explainer = int(judged.rows[place]), SegmenterExplainer(model_of(judged.judges[place]))
        return explainer.mistake(prepared.pack.image(row), scores[place]["name"], prepared.pack.mask(row))

    def mistakes() -> list[tuple[Subject, Question, float]]:
        found = [one for place in worst if (one := mistake(place)) is not None]
        return sorted(found, key=lambda one: -one[2])

    return [example(place) for place in worst], [example(place) for place in typical], looks_at(mistakes)


def _rank(found: dict[str, Any]) -> float:
    """The mean IoU; images in which nothing counts come last."""
    return 2.0 if found["mean_iou"] is None else float(found["mean_iou"])


def _write_predictions(run: Run, prepared: PreparedMasks, judged: Sequence[JudgedMasks]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "group", "judged", "pixel_accuracy", "mean_iou"])
    for one in judged:
        for row, found in zip(one.rows.tolist(), one.results["per_image"], strict=True):
            figures = [
                "" if value is None else f"{value:.6f}" for value in (found["pixel_accuracy"], found["mean_iou"])
            ]
            writer.writerow([found["name"], prepared.dataset.samples[row].group or "", one.split, *figures])
    write_atomically(run.predictions, text.getvalue())


def _rows_by_split(plan: MapPlan, prepared: PreparedMasks, member: Rows) -> dict[str, NDArray[np.int64]]:
    rows = {"train": member.train, "validation": member.validation, "test": member.held_out}
    if plan.recipe.folds:
        rows = {"cross-validated": prepared.rows("train"), "test": member.held_out}
    return {split: some for split, some in rows.items() if len(some)}


def _pixel_shares(plan: MapPlan, prepared: PreparedMasks, member: Rows) -> dict[str, list[float]]:
    shares = {}
    for split, rows in _rows_by_split(plan, prepared, member).items():
        pixels = prepared.pack.class_pixels[rows].sum(axis=0)
        shares[split] = (pixels / max(1, int(pixels.sum()))).tolist()
    return shares


def _data_summary(plan: MapPlan, prepared: PreparedMasks, member: Rows) -> DataSummary:
    dataset = prepared.dataset
    rows = _rows_by_split(plan, prepared, member)
    return DataSummary(
        name=dataset.name,
        form=dataset.form,
        classes=dataset.classes,
        counts={split: (prepared.pack.class_pixels[some] > 0).sum(axis=0).tolist() for split, some in rows.items()},
        images={split: len(some) for split, some in rows.items()},
        licence=dataset.licence,
        left_out=[(problem.where, problem.what) for problem in prepared.left_out[:_PROBLEMS_SHOWN]],
        left_out_count=len(prepared.left_out),
        duplicates=len(prepared.hashes) - len(set(prepared.hashes)),
        split_by="group" if any(sample.group is not None for sample in dataset.samples) else "",
    )


def _network_facts(plan: MapPlan, model: SegmentationModel, own: HeldOutMasks) -> PixelNetworkFacts:
    recipe = plan.recipe
    source, rung = recipe_weights(recipe), SCORE_MAPS[recipe.segment.name]
    crop = recipe.segment.crop
    assert crop != "auto"  # noqa: S101
    return PixelNetworkFacts(
        name=recipe.network.name,
        source=find_architecture(recipe.network.name).source,
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        trained_parameters=own.trained_parameters,
        weights=source.trained_on if isinstance(source, Weights) else str(source or "random"),
        licence=source.licence if isinstance(source, Weights) else "",
        loaded=tuple(plan.weights.rows()) if plan.weights else (),
        start=recipe.start.name,
        method=own.method,
        rung=recipe.segment.name,
        rung_about=rung.about,
        rung_source=rung.source,
        channels=model.preprocessing.channels,
        scale=recipe.segment.scale,
        crop=crop,
        trained_on=rung.trained_on,
    )
