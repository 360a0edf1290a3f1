"""The plan of a run: every choice made and measured once, written down, and read again when the run goes on."""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter

from convolve.data.dataset import Note, class_counts
from convolve.data.preprocessing import Preprocessing
from convolve.errors import UserError, shown
from convolve.networks.loading import LoadReport
from convolve.progress import Progress
from convolve.recipe.file import write_recipe
from convolve.recipe.schema import Recipe
from convolve.recipe.values import format_duration
from convolve.run.environment import describe_environment
from convolve.run.files import write_atomically
from convolve.run.folder import Run
from convolve.training.calibrate import Calibration
from convolve.training.compute import Compute
from convolve.workflow.budget import keep_to_budget
from convolve.workflow.build import check_names, recipe_job
from convolve.workflow.calibrating import calibrated
from convolve.workflow.data import Divided, Member, Opened, Prepared, measured, members, prepare
from convolve.workflow.plan import (
    Choices,
    plan_data,
    plan_training,
    trains_backbone,
)

Say = Callable[[str], None]
"""Tells the user a sentence."""

Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class AnyPlan:
    """What a run does, with nothing left open, whatever its task.

    Attributes:
        recipe: resolved.
        reasons: why, by dotted key.
        calibration: how to compute, and how fast that was.
        weights: what became of the pre-trained weights, if there are any.
    """

    recipe: Recipe
    reasons: dict[str, str]
    calibration: Calibration
    weights: LoadReport | None = None


@dataclass(frozen=True, kw_only=True)
class Plan(AnyPlan):
    """The plan of a classification.

    Attributes:
        preprocessing: measured where training starts from random weights.
    """

    preprocessing: Preprocessing


def make_or_read_plan(run: Run, recipe: Recipe, opened: Opened, progress: Progress, say: Say) -> tuple[Plan, Prepared]:
    """The plan that the run folder has, or a new one, written there.

    Raises:
        UserError: the recipe does not suit the data, or the data changed since the plan was made.
    """

    def read() -> tuple[Plan, Prepared]:
        plan = read_plan(run)
        return plan, prepare_planned(plan.recipe, opened, plan.preprocessing, progress)

    return made_or_read(run, opened, make=lambda: _make_plan(run, recipe, opened, progress, say), read=read)


def made_or_read(run: Run, opened: Opened, *, make: Callable[[], Made], read: Callable[[], Made]) -> Made:
    """What was planned before, if the run has a plan and the data is still the same; else what is planned now.

    Raises:
        UserError: the recipe does not suit the data, and the run's folder is taken back; or the data changed.
    """
    kept = run.read("plan")
    if kept is None:
        try:
            return make()
        except UserError:
            _forget(run)
            raise
    if kept["fingerprint"] != opened.fingerprint:
        raise UserError(
            f"{run.folder}: the data changed since this training began",
            "Restore it to go on, or start anew with another --out.",
        )
    return read()


def read_plan(run: Run) -> Plan:
    """The plan that a run has."""
    kept = run.read("plan")
    return Plan(preprocessing=Preprocessing.model_validate(kept["preprocessing"]), **plan_parts(kept))


def plan_parts(kept: dict[str, Any]) -> dict[str, Any]:
    """The fields of `AnyPlan`, from a plan as it is written down."""
    return {
        "recipe": Recipe.model_validate(kept["recipe"]),
        "reasons": kept["reasons"],
        "calibration": Calibration.model_validate(kept["calibration"]),
        "weights": TypeAdapter(LoadReport | None).validate_python(kept.get("weights")),
    }


def planned_members(plan: AnyPlan, prepared: Divided) -> list[Member]:
    """The trainings of the run."""
    return recipe_members(plan.recipe, prepared)


def recipe_members(recipe: Recipe, prepared: Divided) -> list[Member]:
    """The trainings of a resolved recipe."""
    assert isinstance(recipe.folds, int)  # noqa: S101
    assert isinstance(recipe.data.validation, float)  # noqa: S101
    return members(
        prepared,
        folds=recipe.folds,
        seeds=recipe.seeds,
        seed=recipe.seed,
        validation=recipe.data.validation,
        per_class=recipe.data.per_class,
    )


def recipe_for(opened: Opened, recipe: Recipe) -> Choices:
    """The recipe with every choice made that needs no measuring."""
    choices, preprocessing, _ = plan_data(recipe, opened.dataset, opened.survey)
    rows = np.arange(len(opened.dataset.samples))
    more = plan_training(choices.recipe, opened.dataset, rows, preprocessing)
    return Choices(more.recipe, choices.reasons | more.reasons)


def _make_plan(run: Run, recipe: Recipe, opened: Opened, progress: Progress, say: Say) -> tuple[Plan, Prepared]:
    # Names are checked before the images are decoded: a typing error should not cost a minute.
    check_names(recipe_for(opened, recipe).recipe)
    choices, preprocessing, unmeasured = plan_data(recipe, opened.dataset, opened.survey)
    reasons, recipe = choices.reasons, choices.recipe
    prepared = prepare_planned(recipe, opened, preprocessing, progress)
    _tell_of_images(prepared, say)
    trainings = recipe_members(recipe, prepared)
    own = trainings[-1]
    check_rows(own)
    if unmeasured:
        preprocessing = measured(preprocessing, prepared.pack.images, own.train)
    choices = plan_training(recipe, opened.dataset, own.train, preprocessing)
    reasons |= choices.reasons
    recipe = choices.recipe
    say_reasons(recipe, reasons, say)
    job = recipe_job(recipe, prepared, preprocessing, own, Compute(), run.folder, progress)
    if job.loaded is not None:
        say(f"weights: {job.loaded.sentence}")
    calibration = calibrated(recipe, job, progress)
    speed_told = f", {calibration.images_per_second:.0f} images a second" if calibration.measurements else ""
    say(f"computing: {calibration.chosen}{speed_told}")
    if recipe.start.name != "features":
        choices, seconds = keep_to_budget(recipe, job, calibration, trainings=len(trainings))
        reasons |= choices.reasons
        recipe = choices.recipe
        say_reasons(recipe, choices.reasons, say)
        say(_forecast(recipe, images=len(own.train), seconds=seconds, trainings=len(trainings)))
    plan = Plan(
        recipe=recipe, preprocessing=preprocessing, reasons=reasons, calibration=calibration, weights=job.loaded
    )
    write_plan(run, plan, opened, preprocessing=preprocessing.model_dump(mode="json"))
    return plan, prepared


def say_reasons(recipe: Recipe, reasons: Mapping[str, str], say: Say) -> None:
    """Tell what was chosen, and why."""
    for key, reason in reasons.items():
        say(f"{key} = {_value(recipe, key)}: {reason}")


def _forecast(recipe: Recipe, *, images: int, seconds: float, trainings: int) -> str:
    parts = ["pre-training"] if recipe.start.name == "unsupervised" else []
    if trains_backbone(recipe):
        parts.append(f"{recipe.train.epochs} epochs of {images} images")
    times = f"{trainings} trainings of " if trainings > 1 else ""
    verb = "takes" if parts == ["pre-training"] and trainings == 1 else "take"
    return f"forecast: {times}{' and '.join(parts)} {verb} about {format_duration(trainings * seconds)}"


def prepare_planned(recipe: Recipe, opened: Opened, preprocessing: Preprocessing, progress: Progress) -> Prepared:
    """The data as a resolved recipe splits and fits it."""
    assert isinstance(recipe.folds, int)  # noqa: S101
    assert isinstance(recipe.data.validation, float)  # noqa: S101
    assert isinstance(recipe.data.test, float)  # noqa: S101
    return prepare(
        opened,
        preprocessing,
        seed=recipe.seed,
        folds=recipe.folds,
        validation=recipe.data.validation,
        test=recipe.data.test,
        progress=progress,
    )


def _forget(run: Run) -> None:
    """Take back a request that was refused: nothing was trained, and the mended one may well name the same folder."""
    # The lock is still held, but no longer guards anything.
    for path in (run.folder / "request.json", run.folder / "environment.json", run.recipe, run.folder / ".lock"):
        with contextlib.suppress(OSError):
            path.unlink()
    with contextlib.suppress(OSError):
        run.folder.rmdir()


def _tell_of_images(prepared: Prepared, say: Say) -> None:
    say_problems(prepared, say)
    dataset = prepared.dataset
    usable = (dataset.samples[row] for row in np.flatnonzero(prepared.usable))
    lonely = [
        name for name, n in zip(dataset.classes, class_counts(usable, len(dataset.classes)), strict=True) if n == 1
    ]
    if lonely:
        say(f"one image only of {shown(lonely)}: it cannot be both learned from and tested; add images")


def check_weights(run: Run, plan: AnyPlan, loaded: LoadReport | None) -> None:
    """See that the pre-trained weights are still those that the plan was made for.

    Raises:
        UserError: they are not.
    """
    if plan.weights and loaded and plan.weights.digest != loaded.digest:
        raise UserError(
            f"{run.folder}: {loaded.origin} changed since this training began",
            "Restore them to go on, or start anew with another --out.",
        )


def say_problems(prepared: Divided, say: Say) -> None:
    """Tell what was left out, if anything was, and what was noted."""
    if prepared.left_out:
        say(f"left out: {shown([f'{one.where}: {one.what}' for one in prepared.left_out])}")
    for one in prepared.problems:
        if isinstance(one, Note):
            say(f"{one.where}: {one.what}")


def check_rows(member: Member) -> None:
    """See that there is something to train on and something to choose by.

    Raises:
        UserError: there is not.
    """
    if len(member.train) == 0 or len(member.validation) == 0:
        raise UserError(
            f"{len(member.train)} images are left for training and {len(member.validation)} for choosing",
            "Add images, or change the shares kept for choosing (data.validation) and for testing (data.test).",
        )


def write_plan(run: Run, plan: AnyPlan, opened: Opened, **more: Any) -> None:
    """Write a plan down, with the recipe for people; what is more than `AnyPlan` has are plain JSON values."""
    run.write("environment", describe_environment())
    write_atomically(run.recipe, write_recipe(plan.recipe, plan.reasons))
    run.write(
        "plan",
        {
            "fingerprint": opened.fingerprint,
            "recipe": json.loads(plan.recipe.model_dump_json()),
            **more,
            "reasons": plan.reasons,
            "calibration": plan.calibration.model_dump(mode="json"),
            "weights": asdict(plan.weights) if plan.weights else None,
        },
    )


def _value(recipe: Recipe, key: str) -> Any:
    value: Any = recipe
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part)
    return value
