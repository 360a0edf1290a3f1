"""What a training costs in time, and how it is cut to what the user gave it."""

import time
from collections.abc import Callable, Mapping

from convolve.recipe.schema import Option, Recipe
from convolve.training.calibrate import Calibration
from convolve.training.pretraining.pretrain import usual_epochs
from convolve.training.starts import Job
from convolve.workflow.build import recipe_start
from convolve.workflow.calibrating import entering
from convolve.workflow.plan import Choices, changed, trains_backbone

# Of the budget, where learning without labels comes first.
_PRETRAINING_SHARE = 0.6
# Of an image in each epoch of pre-training.
_VIEWS = 2
_EPOCHS_AT_LEAST = 4
_FEWEST_TO_PRETRAIN = 1000
_BATCHES_TIMED = 5


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
        seconds, share = _VIEWS * images * epochs / speed, 1 - _PRETRAINING_SHARE
    if trains_backbone(recipe):
        training = _seconds_of_training(recipe, job, calibration)
        choices = keep_budget(recipe, seconds=training, trainings=trainings, share=share)
        recipe, reasons = choices.recipe, reasons | choices.reasons
        assert recipe.train.epochs != "auto"  # noqa: S101
        seconds += training(recipe.train.epochs)
    return Choices(recipe, reasons), seconds


def keep_budget(recipe: Recipe, *, seconds: Callable[[int], float], trainings: int, share: float = 1.0) -> Choices:
    """Cut the epochs to what the budget allows; at least one is run.

    Args:
        recipe: with epochs.
        seconds: what one training of so many epochs takes, as measured.
        trainings: how many there are; the budget is for all of them.
        share: of the budget; the rest is for what comes before.
    """
    epochs = recipe.train.epochs
    assert isinstance(epochs, int)  # noqa: S101
    if recipe.budget == "none":
        return Choices(recipe, {})
    limit = share * recipe.budget / trainings
    affordable = next((some for some in range(epochs, 1, -1) if seconds(some) <= limit), 1)
    if affordable >= epochs:
        return Choices(recipe, {})
    reason = f"{epochs} would be usual; the budget allows {affordable} (budget=none, or more time, lifts this)"
    return Choices(changed(recipe, "train", epochs=affordable), {"train.epochs": reason})


def keep_pretraining_budget(
    recipe: Recipe, *, images: int, images_per_second: float, trainings: int, share: float = _PRETRAINING_SHARE
) -> Choices:
    """Choose how many images are pre-trained on, and how often, within a share of the budget.

    Where time is short, fewer images are seen several times rather than all of them once: the learning rate needs some
    epochs to fall in, and a collapse shows after three.

    Args:
        recipe: of start "unsupervised"; what its options say is kept.
        images: that could be pre-trained on.
        images_per_second: measured, in training, each image seen once.
        trainings: how many there are; the budget is for all of them.
        share: of the budget; the rest is for what follows.
    """
    options = recipe.start.options
    wanted = min(_count(options, "images") or images, images)
    used, epochs = wanted, _count(options, "epochs") or usual_epochs(wanted)
    if recipe.budget != "none":
        seconds = share * recipe.budget / trainings
        shown_images = max(1, int(seconds * images_per_second / _VIEWS))
        if not _count(options, "images"):
            used = max(min(wanted, _FEWEST_TO_PRETRAIN), min(wanted, shown_images // _EPOCHS_AT_LEAST))
        if not _count(options, "epochs"):
            epochs = max(1, min(epochs, shown_images // used))
    reason = f"{epochs} epochs of {used} of {images} images without labels"
    if recipe.budget != "none":
        reason += f", in {share:.0%} of the budget"
    recipe = changed(recipe, "start", options=options | {"images": used, "epochs": epochs})
    return Choices(recipe, {"start.options": reason})


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
    entering(division, job.preprocessing.normalise(batch.images))  # the first pass also prepares the layers
    started = time.perf_counter()
    entering(division, job.preprocessing.normalise(job.training_loader().batch(0, 0).images))
    view = images * (time.perf_counter() - started) / len(batch.rows)
    augmented = job.augmentation is not None
    return lambda epochs: (
        epochs * images / calibration.images_per_second + division.views(epochs=epochs, augmented=augmented) * view
    )


def _count(options: Mapping[str, Option], name: str) -> int:
    value = options.get(name, 0)
    return value if isinstance(value, int) else 0
