"""What a run on boxes says of its model: figures on images that neither trained nor chose it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Boxes, Dataset
from convolve.tasks.detect.results import results
from convolve.workflow.detect.data import PreparedBoxes
from convolve.workflow.detect.judgement import Judgement
from convolve.workflow.detect.planning import BoxPlan
from convolve.workflow.detect.training import HeldOutBoxes
from convolve.workflow.results import own_model, told_of_training


@dataclass(frozen=True)
class JudgedBoxes:
    """Images judged by models that never saw them.

    Attributes:
        split: "test", or "out-of-fold" where every image is judged by the model of the fold it was held out from.
        rows: of the data set.
        judges: the name of the training that each was held out from; "" for the run's own.
        detections: of each.
        results: what the task reports.
    """

    split: str
    rows: NDArray[np.int64]
    judges: Sequence[str]
    detections: Sequence[Detections]
    results: dict[str, Any]


def judge_boxes(plan: BoxPlan, prepared: PreparedBoxes, held_out: Sequence[HeldOutBoxes]) -> list[JudgedBoxes]:
    """The figures that may be reported, first the one that counts: test if there is one, else out-of-fold."""
    own = own_model(held_out, "map")
    judged = []
    if len(own.member.held_out):
        judged.append(_judged(prepared, "test", [own]))
    if plan.recipe.folds:
        folds = [one for one in held_out if one.member.name and one.member.seed == plan.recipe.seed]
        judged.append(_judged(prepared, "out-of-fold", folds))
    return judged


def evaluate_boxes(plan: BoxPlan, prepared: PreparedBoxes, held_out: Sequence[HeldOutBoxes]) -> dict[str, Any]:
    """The run's results, as plain JSON values."""
    told = told_of_training(plan, prepared, held_out, task="detect", score_name="map")
    told["detect"] = plan.recipe.detect.name
    own = own_model(held_out, "map")
    told["prediction_seconds"] = sum(own.judgement.seconds.values()) if len(own.member.held_out) else None
    for one in judge_boxes(plan, prepared, held_out):
        told[one.split.replace("-", "_")] = {"split": one.split, **one.results}
    several = [one for one in held_out if one.member.name]
    if several:
        told["members"] = [
            {"name": one.member.name, **_judged(prepared, one.member.name, [one]).results} for one in several
        ]
    return told


def results_on(dataset: Dataset, judgement: Judgement, *, threshold: float) -> dict[str, Any]:
    """What the task reports on the images that were judged, and how long one takes."""
    samples = [dataset.samples[row] for row in judgement.rows.tolist()]
    groups = [sample.group for sample in samples]
    truths = [sample.target for sample in samples if isinstance(sample.target, Boxes)]
    found = results(
        truths,
        judgement.detections,
        dataset.classes,
        names=[sample.name for sample in samples],
        groups=groups if any(group is not None for group in groups) else None,
        proposals=judgement.regions,
        threshold=threshold,
    )
    milliseconds = {stage: 1000 * seconds for stage, seconds in judgement.seconds.items()}
    return {**found, "ms_per_image": sum(milliseconds.values()), "ms_by_stage": milliseconds}


def _judged(prepared: PreparedBoxes, split: str, parts: Sequence[HeldOutBoxes]) -> JudgedBoxes:
    judgement = Judgement(
        rows=np.concatenate([one.judgement.rows for one in parts]),
        detections=[found for one in parts for found in one.judgement.detections],
        regions=[regions for one in parts for regions in one.judgement.regions],
        seconds={
            stage: float(np.mean([one.judgement.seconds[stage] for one in parts]))
            for stage in parts[0].judgement.seconds
        },
    )
    threshold = float(np.mean([one.threshold for one in parts]))
    told = results_on(prepared.dataset, judgement, threshold=threshold)
    judges = [one.member.name for one in parts for _ in one.judgement.rows]
    return JudgedBoxes(split, judgement.rows, judges, judgement.detections, told)
