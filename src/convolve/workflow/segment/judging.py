"""What a run on masks says of its model: figures on images that neither trained nor chose it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import Dataset
from convolve.tasks.segment.results import results
from convolve.tasks.segment.tally import ImageTally
from convolve.workflow.results import own_model, told_of_training
from convolve.workflow.segment.data import PreparedMasks
from convolve.workflow.segment.planning import MapPlan
from convolve.workflow.segment.training import HeldOutMasks


@dataclass(frozen=True)
class JudgedMasks:
    """Images judged by models that never saw them.

    Attributes:
        split: "test", or "out-of-fold" where every image is judged by the model of the fold it was held out from.
        rows: of the pack.
        judges: the name of the training that each was held out from; "" for the run's own.
        tallies: of the rows.
        results: what the task reports.
    """

    split: str
    rows: NDArray[np.int64]
    judges: Sequence[str]
    tallies: Sequence[ImageTally]
    results: dict[str, Any]


def judge_maps(plan: MapPlan, prepared: PreparedMasks, held_out: Sequence[HeldOutMasks]) -> list[JudgedMasks]:
    """The figures that may be reported, first the one that counts: test if there is one, else out-of-fold."""
    own = own_model(held_out, "mean_iou")
    judged = []
    if len(own.member.held_out):
        judged.append(_judged(prepared, "test", [own]))
    if plan.recipe.folds:
        folds = [one for one in held_out if one.member.name and one.member.seed == plan.recipe.seed]
        judged.append(_judged(prepared, "out-of-fold", folds))
    return judged


def evaluate_maps(plan: MapPlan, prepared: PreparedMasks, held_out: Sequence[HeldOutMasks]) -> dict[str, Any]:
    """The run's results, as plain JSON values."""
    told = told_of_training(plan, prepared, held_out, task="segment", score_name="mean_iou")
    told["segment"] = plan.recipe.segment.name
    told["prediction_seconds"] = own_model(held_out, "mean_iou").prediction_seconds
    for one in judge_maps(plan, prepared, held_out):
        told[one.split.replace("-", "_")] = {"split": one.split, **one.results}
    several = [one for one in held_out if one.member.name]
    if several:
        told["members"] = [
            {"name": one.member.name, **_judged(prepared, one.member.name, [one]).results} for one in several
        ]
    return told


def results_on(dataset: Dataset, rows: NDArray[np.int64], tallies: Sequence[ImageTally]) -> dict[str, Any]:
    """What the task reports on these samples."""
    samples = [dataset.samples[row] for row in rows]
    groups = [sample.group for sample in samples]
    return results(
        tallies,
        dataset.classes,
        names=[sample.name for sample in samples],
        groups=groups if any(group is not None for group in groups) else None,
    )


def _judged(prepared: PreparedMasks, split: str, parts: Sequence[HeldOutMasks]) -> JudgedMasks:
    rows = np.concatenate([one.member.held_out for one in parts])
    tallies = [tally for one in parts for tally in one.tallies]
    told = results_on(prepared.dataset, rows, tallies)
    temperatures = [one.temperature for one in parts]
    told["temperature"] = temperatures[0] if len(parts) == 1 else temperatures
    judges = [one.member.name for one in parts for _ in one.member.held_out]
    return JudgedMasks(split, rows, judges, tallies, told)
