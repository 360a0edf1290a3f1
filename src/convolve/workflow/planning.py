"""The plan of a run: every choice made and measured once, written down, and read again when the run goes on."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor

from convolve.data.cache import store
from convolve.data.dataset import class_counts
from convolve.data.pack import channel_statistics
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
from convolve.training.calibrate import Calibration, calibrate, candidates
from convolve.training.compute import Compute, choose_device, choose_engine
from convolve.training.inference import in_test_mode
from convolve.training.starts import Division, Job
from convolve.workflow.build import check_names, recipe_job, recipe_start
from convolve.workflow.data import Member, Opened, Prepared, members, prepare
from convolve.workflow.plan import (
    PRETRAINING_SHARE,
    VIEWS,
    Choices,
    keep_budget,
    keep_pretraining_budget,
    plan_data,
    plan_training,
    trains_backbone,
)

Say = Callable[[str], None]
"""Tells the user a sentence."""

_SECONDS_A_WAY = 1.0
_BATCHES_TIMED = 5


@dataclass(frozen=True)
class Plan:
    """What a run does, with nothing left open.

    Attributes:
        recipe: resolved.
        preprocessing: measured where training starts from random weights.
        reasons: why, by dotted key.
        calibration: how to compute, and how fast that was.
        weights: what became of the pre-trained weights, if there are any.
    """

    recipe: Recipe
    preprocessing: Preprocessing
    reasons: dict[str, str]
    calibration: Calibration
    weights: LoadReport | None = None


def make_or_read_plan(run: Run, recipe: Recipe, opened: Opened, progress: Progress, say: Say) -> tuple[Plan, Prepared]:
    """The plan that the run folder has, or a new one, written there.

    Raises:
        UserError: the recipe does not suit the data, or the data changed since the plan was made.
    """
    kept = run.read("plan")
    if kept is None:
        try:
            return _make_plan(run, recipe, opened, progress, say)
        except UserError:
            _forget(run)
            raise
    if kept["fingerprint"] != opened.fingerprint:
        raise UserError(
            f"{run.folder}: the data changed since this training began",
            "Restore it to go on, or start anew with another --out.",
        )
    plan = read_plan(run)
    return plan, prepare_planned(plan.recipe, opened, plan.preprocessing, progress)


def read_plan(run: Run) -> Plan:
    """The plan that a run has."""
    kept = run.read("plan")
    return Plan(
        recipe=Recipe.model_validate(kept["recipe"]),
        preprocessing=Preprocessing.model_validate(kept["preprocessing"]),
        reasons=kept["reasons"],
        calibration=Calibration.model_validate(kept["calibration"]),
        weights=TypeAdapter(LoadReport | None).validate_python(kept.get("weights")),
    )


def planned_members(plan: Plan, prepared: Prepared) -> list[Member]:
    """The trainings of the run."""
    recipe = plan.recipe
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
    assert isinstance(recipe.folds, int)  # noqa: S101
    assert isinstance(recipe.data.validation, float)  # noqa: S101
    trainings = members(
        prepared,
        folds=recipe.folds,
        seeds=recipe.seeds,
        seed=recipe.seed,
        validation=recipe.data.validation,
        per_class=recipe.data.per_class,
    )
    own = trainings[-1]
    _check_rows(own)
    if unmeasured:
        mean, std = channel_statistics(prepared.pack.images, own.train)
        # A channel that never changes tells nothing; dividing by its deviation of 0 must not either.
        std = tuple(max(value, 1 / 255) for value in std)
        preprocessing = preprocessing.model_copy(update={"mean": mean, "std": std})
    choices = plan_training(recipe, opened.dataset, own.train, preprocessing)
    reasons |= choices.reasons
    recipe = choices.recipe
    for key, reason in reasons.items():
        say(f"{key} = {_value(recipe, key)}: {reason}")
    job = recipe_job(recipe, prepared, preprocessing, own, Compute(), run.folder, progress)
    if job.loaded is not None:
        say(f"weights: {job.loaded.sentence}")
    calibration = _calibrate(recipe, job, progress)
    speed_told = f", {calibration.images_per_second:.0f} images a second" if calibration.measurements else ""
    say(f"computing: {calibration.chosen}{speed_told}")
    if recipe.start.name != "features":
        choices, seconds = keep_to_budget(recipe, job, calibration, trainings=len(trainings))
        reasons |= choices.reasons
        recipe = choices.recipe
        for key, reason in choices.reasons.items():
            say(f"{key} = {_value(recipe, key)}: {reason}")
        say(_forecast(recipe, images=len(own.train), seconds=seconds, trainings=len(trainings)))
    plan = Plan(recipe, preprocessing, reasons, calibration, job.loaded)
    _write(run, plan, opened)
    return plan, prepared


def keep_to_budget(recipe: Recipe, job: Job, calibration: Calibration, *, trainings: int) -> tuple[Choices, float]:
    """Cut pre-training and training to what the budget allows, by a few batches measured.

    Args:
        recipe: with epochs; of a start that trains a backbone, with labels or without.
        job: one of the trainings.
        calibration: how it computes, and how fast that is.
        trainings: how many there are; the budget is for all of them.

    Returns:
        The choices, and how many seconds one training then takes.
    """
    reasons: dict[str, str] = {}
    seconds, share = 0.0, 1.0
    if recipe.start.name == "unsupervised":
        speed = _speed(job, calibration)
        choices = keep_pretraining_budget(
            recipe,
            images=len(job.train_rows) + len(job.unlabelled_rows),
            images_per_second=speed,
            trainings=trainings,
        )
        recipe, reasons = choices.recipe, dict(choices.reasons)
        images, epochs = recipe.start.options["images"], recipe.start.options["epochs"]
        assert isinstance(images, int)  # noqa: S101
        assert isinstance(epochs, int)  # noqa: S101
        seconds, share = VIEWS * images * epochs / speed, 1 - PRETRAINING_SHARE
    if trains_backbone(recipe):
        training = _seconds_of_training(recipe, job, calibration)
        choices = keep_budget(recipe, seconds=training, trainings=trainings, share=share)
        recipe, reasons = choices.recipe, reasons | choices.reasons
        assert recipe.train.epochs != "auto"  # noqa: S101
        seconds += training(recipe.train.epochs)
    return Choices(recipe, reasons), seconds


def _speed(job: Job, calibration: Calibration) -> float:
    """Training images a second, augmentation included, which calibration leaves out."""
    loader = job.training_loader()
    steps = min(loader.steps, _BATCHES_TIMED)
    loader.batch(0, 0)  # the first one reads the memory map from disk
    started = time.perf_counter()
    images = sum(len(loader.batch(0, step).rows) for step in range(steps))
    return 1 / ((time.perf_counter() - started) / images + 1 / calibration.images_per_second)


def _seconds_of_training(recipe: Recipe, job: Job, calibration: Calibration) -> Callable[[int], float]:
    """How long one training of so many epochs takes, the views that go through a frozen part included."""
    division = recipe_start(recipe).divide(job.network, job.preprocessing)
    images = len(job.train_rows)
    if division.frozen is None:
        speed = _speed(job, calibration)
        return lambda epochs: epochs * images / speed
    batch = job.training_loader().batch(0, 0)
    _entering(division, job.preprocessing.normalise(batch.images))  # the first pass also prepares the layers
    started = time.perf_counter()
    _entering(division, job.preprocessing.normalise(job.training_loader().batch(0, 0).images))
    view = images * (time.perf_counter() - started) / len(batch.rows)
    augmented = job.augmentation is not None
    return lambda epochs: (
        epochs * images / calibration.images_per_second + division.views(epochs=epochs, augmented=augmented) * view
    )


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
    problems = prepared.problems
    if problems:
        say(f"left out: {shown([f'{one.where}: {one.what}' for one in problems])}")
    dataset = prepared.dataset
    usable = (dataset.samples[row] for row in np.flatnonzero(prepared.usable))
    lonely = [
        name for name, n in zip(dataset.classes, class_counts(usable, len(dataset.classes)), strict=True) if n == 1
    ]
    if lonely:
        say(f"one image only of {shown(lonely)}: it cannot be both learned from and tested; add images")


def _check_rows(member: Member) -> None:
    if len(member.train) == 0 or len(member.validation) == 0:
        raise UserError(
            f"{len(member.train)} images are left for training and {len(member.validation)} for choosing",
            "Add images, or keep fewer aside (data.validation, data.test).",
        )


def _calibrate(recipe: Recipe, job: Job, progress: Progress) -> Calibration:
    """The fastest way to compute; compiling is tried only where the training is long enough to earn it back."""
    settings, epochs = recipe.compute, recipe.train.epochs
    device = choose_device(settings.device)
    engine = choose_engine(settings.engine, device)

    def ways(seconds: float) -> list[Compute]:
        return candidates(
            device,
            memory_format=settings.memory_format,
            precision=settings.precision,
            compile_network=settings.compile,
            seconds_forecast=seconds,
        )

    if recipe.start.name == "features" and engine != "torch":
        # Nothing to choose from, and making the engine ready costs more than timing it: its speed is told when it runs.
        # Should torch stand in, the last way of all is mostly the fastest.
        chosen = ways(0.0)[-1].model_copy(update={"engine": engine, "compiled": False})
        return Calibration(chosen=chosen, images_per_second=0.0, measurements=())
    measured = _measured(recipe, job, ways(0.0), progress)
    if recipe.start.name == "features":
        return measured
    assert epochs != "auto"  # noqa: S101
    seconds = epochs * len(job.train_rows) / measured.images_per_second
    longer = ways(seconds if recipe.budget == "none" else min(seconds, recipe.budget))
    if len(longer) > len(ways(0.0)):
        measured = _measured(recipe, job, longer, progress)
    return measured.model_copy(update={"chosen": measured.chosen.model_copy(update={"engine": engine})})


def _entering(division: Division, images: Tensor) -> Tensor:
    """What the trained part of a network is given for these normalised images."""
    if division.frozen is None:
        return images
    with in_test_mode(division.frozen), torch.no_grad():
        activations: Tensor = division.frozen(images)
    return activations


def _measured(recipe: Recipe, job: Job, ways: list[Compute], progress: Progress) -> Calibration:
    trained = recipe.start.name != "features"
    environment = describe_environment()
    division = recipe_start(recipe).divide(job.network, job.preprocessing)
    facts = [environment["processor"], environment["threads"], environment["packages"]["torch"], repr(division.trained)]
    facts += [job.preprocessing.image_hw, job.batch_size, trained, [str(way) for way in ways]]
    key = blake2b(repr(facts).encode(), digest_size=16).hexdigest()

    def write(folder: Path) -> None:
        loader = job.in_order(job.train_rows[: job.batch_size])
        batch = loader.batch(0, 0)
        measured = calibrate(
            division.trained,
            job.task,
            _entering(division, job.preprocessing.normalise(batch.images)),
            batch.targets,
            ways,
            trained=trained,
            seconds=_SECONDS_A_WAY,
            progress=progress,
        )
        (folder / "calibration.json").write_text(measured.model_dump_json())

    # Kept, so that the same recipe computes the same way, and gives the same weights, the next time.
    folder = store("calibrations", key, write)
    return Calibration.model_validate_json((folder / "calibration.json").read_text())


def _write(run: Run, plan: Plan, opened: Opened) -> None:
    run.write("environment", describe_environment())
    write_atomically(run.recipe, write_recipe(plan.recipe, plan.reasons))
    run.write(
        "plan",
        {
            "fingerprint": opened.fingerprint,
            "recipe": json.loads(plan.recipe.model_dump_json()),
            "preprocessing": plan.preprocessing.model_dump(mode="json"),
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
