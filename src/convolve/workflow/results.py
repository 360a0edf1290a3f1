"""What a run says of its model: figures on images that neither trained nor chose it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.training.task import Task
from convolve.workflow.build import recipe_task
from convolve.workflow.data import Divided, Member, Prepared
from convolve.workflow.planning import AnyPlan, Plan


@dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """One training of a run, and what is told of it whatever the task.

    Attributes:
        member: its rows.
        temperature: divisor of the outputs.
        validation: figures that chose the weights; not for reporting.
        chosen_on: what they were measured on, in words.
        trained_parameters, train_images, epochs, best_epoch, seconds, images_per_second, method: as `Trained` has them.
        notes: sentences for the report.
    """

    member: Member
    temperature: float
    validation: dict[str, float]
    chosen_on: str
    trained_parameters: int
    train_images: int
    epochs: int
    best_epoch: int | None
    seconds: float
    images_per_second: float
    method: str
    notes: list[str] = field(default_factory=list)

    def score(self, name: str) -> tuple[float, float]:
        """Larger is better; for choosing among trainings by the figure of that name."""
        return self.validation[name], -self.validation["loss"]


Facts = TypeVar("Facts", bound=TrainingFacts)


@dataclass(frozen=True, kw_only=True)
class HeldOut(TrainingFacts):
    """One training of a classifier, and its outputs on the images held out from it.

    Attributes:
        outputs: (n, K) float32 for `member.held_out`.
    """

    outputs: Tensor


@dataclass(frozen=True)
class Judged:
    """Images judged by models that never saw them.

    Attributes:
        split: "test", or "out-of-fold" where every image is judged by the model of the fold it was held out from.
        rows: of the pack.
        outputs: (n, K), already divided by the temperature of the model that made them.
        judges: n names of the trainings whose models made them; empty for the run's own.
        results: what the task reports.
    """

    split: str
    rows: NDArray[np.int64]
    outputs: Tensor
    judges: tuple[str, ...]
    results: dict[str, Any]


def own_model(held_out: Sequence[Facts], score_name: str) -> Facts:
    """The training that gives the run its model: the one on all images, or of several seeds the best on validation."""
    return next((one for one in held_out if not one.member.name), max(held_out, key=lambda one: one.score(score_name)))


def run_task(plan: Plan, prepared: Prepared) -> Task:
    """The run's task, for judging: without class weights."""
    plain = plan.recipe.model_copy(update={"loss": plan.recipe.loss.model_copy(update={"class_weights": "none"})})
    return recipe_task(plain, prepared.dataset, np.arange(0))


def judge(plan: Plan, prepared: Prepared, held_out: Sequence[HeldOut]) -> list[Judged]:
    """The figures that may be reported, first the one that counts: test if there is one, else out-of-fold."""
    task = run_task(plan, prepared)
    own = own_model(held_out, task.score_name)
    judged = []
    if len(own.member.held_out):
        judged.append(_judged(task, prepared, "test", [own]))
    if plan.recipe.folds:
        folds = [one for one in held_out if one.member.name and one.member.seed == plan.recipe.seed]
        judged.append(_judged(task, prepared, "out-of-fold", folds))
    return judged


def evaluate_run(plan: Plan, prepared: Prepared, held_out: Sequence[HeldOut]) -> dict[str, Any]:
    """The run's results, as plain JSON values."""
    task = run_task(plan, prepared)
    results = told_of_training(plan, prepared, held_out, task=task.name, score_name=task.score_name)
    for one in judge(plan, prepared, held_out):
        results[one.split.replace("-", "_")] = {"split": one.split, **one.results}
    several = [one for one in held_out if one.member.name]
    if several:
        results["members"] = [
            {"name": one.member.name, **_judged(task, prepared, one.member.name, [one]).results} for one in several
        ]
    return results


def told_of_training(
    plan: AnyPlan, prepared: Divided, held_out: Sequence[TrainingFacts], *, task: str, score_name: str
) -> dict[str, Any]:
    """The part of a run's results that all tasks have, as plain JSON values."""
    own = own_model(held_out, score_name)
    speeds = [one.images_per_second for one in held_out if one.images_per_second]
    return {
        "task": task,
        "data": prepared.dataset.name,
        "network": plan.recipe.network.name,
        "start": plan.recipe.start.name,
        "classes": list(prepared.dataset.classes),
        "images": int(prepared.usable.sum()),
        "left_out": len(prepared.left_out),
        "trained_parameters": own.trained_parameters,
        "train_images": own.train_images,
        "epochs": own.epochs,
        "seconds": sum(one.seconds for one in held_out),
        "images_per_second": float(np.mean(speeds)) if speeds else 0.0,
        "best": {**own.validation, "chosen_on": own.chosen_on},
        "notes": own.notes,
    }


def _judged(task: Task, prepared: Prepared, split: str, parts: Sequence[HeldOut]) -> Judged:
    rows = np.concatenate([one.member.held_out for one in parts])
    raw = torch.cat([one.outputs for one in parts])
    scaled = torch.cat([one.outputs / one.temperature for one in parts])
    samples = [prepared.dataset.samples[row] for row in rows]
    targets = task.pack_targets(samples)
    groups = [sample.group for sample in samples]
    grouped = groups if any(group is not None for group in groups) else None
    if len(parts) == 1:
        results = task.results(raw, targets, temperature=parts[0].temperature, groups=grouped)
    else:
        # Each part was calibrated by its own temperature; the figures before calibration are those of the raw outputs.
        results = task.results(scaled, targets, temperature=1.0, groups=grouped)
        before = task.results(raw, targets, temperature=1.0, groups=grouped)
        results |= {key: before[key] for key in results if key.endswith("_before")}
        results["temperature"] = [one.temperature for one in parts]
    judges = tuple(one.member.name for one in parts for _ in one.member.held_out)
    return Judged(split, rows, scaled, judges, results)
