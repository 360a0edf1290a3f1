"""The plan of a run on boxes: every choice made and measured once, written down, and read again."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from convolve.data.box_preprocessing import BoxPreprocessing
from convolve.data.scaled_pack import ScaledPack, channel_statistics
from convolve.networks.detection.detector import Detector
from convolve.networks.pretrained import Weights
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.folder import Run
from convolve.training.calibrate import Calibration
from convolve.training.compute import Compute, choose_device, choose_engine
from convolve.training.tuning import TuningJob
from convolve.workflow.around_backbone import calibrated, within_budget
from convolve.workflow.data import Member, Opened
from convolve.workflow.detect.build import box_job, check_box_names
from convolve.workflow.detect.choices import choose_box_split, choose_input_side, choose_parts, choose_training
from convolve.workflow.detect.data import PreparedBoxes, prepare_boxes
from convolve.workflow.plan import Choices
from convolve.workflow.planning import (
    AnyPlan,
    Say,
    check_rows,
    made_or_read,
    plan_parts,
    recipe_members,
    say_problems,
    say_reasons,
    write_plan,
)

_BATCHES_TIMED = 5
# Of a training step; the way back takes about twice as long.
_FORWARD = 1 / 3


@dataclass(frozen=True, kw_only=True)
class BoxPlan(AnyPlan):
    """The plan of a training on boxes.

    Attributes:
        preprocessing: from an image's values to the network's.
    """

    preprocessing: BoxPreprocessing


def make_or_read_box_plan(
    run: Run, recipe: Recipe, opened: Opened, progress: Progress, say: Say
) -> tuple[BoxPlan, PreparedBoxes]:
    """The plan that the run folder has, or a new one, written there.

    Raises:
        UserError: the recipe does not suit the data, or the data changed since the plan was made.
    """

    def read() -> tuple[BoxPlan, PreparedBoxes]:
        plan = read_box_plan(run)
        return plan, prepare_boxes(plan.recipe, opened, progress)

    return made_or_read(run, opened, make=lambda: _make_plan(run, recipe, opened, progress, say), read=read)


def read_box_plan(run: Run) -> BoxPlan:
    """The plan that a run has."""
    kept = run.read("plan")
    return BoxPlan(preprocessing=BoxPreprocessing.model_validate(kept["preprocessing"]), **plan_parts(kept))


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """A recipe with every choice made that needs no measuring, and what was looked at for it."""

    recipe: Recipe
    reasons: dict[str, str]
    prepared: PreparedBoxes
    trainings: list[Member]
    weights: Weights | None


def box_recipe_for(opened: Opened, recipe: Recipe, progress: Progress) -> Choices:
    """The recipe with every choice made that needs no measuring; images are decoded for it.

    Raises:
        UserError: the recipe does not suit the data.
    """
    chosen = _choose(recipe, opened, progress)
    return Choices(chosen.recipe, chosen.reasons)


def decode_boxes(recipe: Recipe, opened: Opened, progress: Progress) -> None:
    """Decode the images at the size that the recipe asks for, and search them for regions, into the cache."""
    recipe, _ = choose_box_split(recipe, opened.dataset)
    prepare_boxes(choose_input_side(recipe, opened.dataset).recipe, opened, progress)


def _choose(recipe: Recipe, opened: Opened, progress: Progress) -> _Chosen:
    # Names are checked before the images are decoded: a typing error should not cost a minute.
    check_box_names(recipe)
    recipe, reasons = choose_box_split(recipe, opened.dataset)
    size = choose_input_side(recipe, opened.dataset)
    prepared = prepare_boxes(size.recipe, opened, progress)
    trainings = recipe_members(size.recipe, prepared)
    own = trainings[-1]
    check_rows(own)
    parts, weights = choose_parts(size.recipe, opened.dataset, prepared.pack)
    choices = choose_training(parts.recipe, opened.dataset, prepared.pack, own.train)
    return _Chosen(
        recipe=choices.recipe,
        reasons=reasons | size.reasons | parts.reasons | choices.reasons,
        prepared=prepared,
        trainings=trainings,
        weights=weights,
    )


def _make_plan(run: Run, recipe: Recipe, opened: Opened, progress: Progress, say: Say) -> tuple[BoxPlan, PreparedBoxes]:
    chosen = _choose(recipe, opened, progress)
    recipe, reasons, prepared, trainings = chosen.recipe, chosen.reasons, chosen.prepared, chosen.trainings
    own = trainings[-1]
    say_problems(prepared, say)
    preprocessing = measured_preprocessing(recipe, prepared.pack, own, chosen.weights)
    say_reasons(recipe, reasons, say)
    engine = choose_engine(recipe.compute.engine, choose_device(recipe.compute.device))
    job = box_job(recipe, prepared, preprocessing, own, Compute(engine=engine), run.folder, progress)
    if job.loaded is not None:
        say(f"weights: {job.loaded.sentence}")
    job.freeze()
    batch = job.train.batch(0, 0)
    measured = calibrated(recipe, job.network, job.objective, batch, job.normalise, progress)
    calibration = measured.model_copy(update={"chosen": measured.chosen.model_copy(update={"engine": engine})})
    say(f"computing: {calibration.chosen}")
    training = _seconds_of_training(recipe, job, calibration)
    choices = within_budget(recipe, training, images=len(own.train), trainings=len(trainings), say=say)
    plan = BoxPlan(
        recipe=choices.recipe,
        reasons=reasons | choices.reasons,
        calibration=calibration,
        weights=job.loaded,
        preprocessing=preprocessing,
    )
    write_plan(run, plan, opened, preprocessing=preprocessing.model_dump(mode="json"))
    return plan, prepared


def measured_preprocessing(recipe: Recipe, pack: ScaledPack, own: Member, weights: Weights | None) -> BoxPreprocessing:
    """From values to the network's input: mean and deviation of the training images, or of the weights'."""
    side = recipe.detect.side
    assert side != "auto"  # noqa: S101
    mean, std = channel_statistics(pack, own.train)
    channels = pack.channels
    if weights is not None:
        # Grey images are shown to a network for RGB as three equal channels.
        channels = 1 if len(weights.mean) == pack.channels == 1 else 3
        mean, std = ((*values,) * (channels // len(values)) for values in (weights.mean, weights.std))
    # A channel that never changes tells nothing; dividing by its deviation of 0 must not either.
    return BoxPreprocessing(channels=channels, side=side, mean=mean, std=tuple(max(value, 1 / 255) for value in std))


def _seconds_of_training(recipe: Recipe, job: TuningJob[Detector], calibration: Calibration) -> Callable[[int], float]:
    """How long one training of so many epochs takes, judging the validation images after each included."""
    steps = min(job.train.steps, _BATCHES_TIMED)
    started = time.perf_counter()
    images = sum(len(job.normalise(job.train.batch(0, step).images)) for step in range(steps))
    # Cutting, augmentation and what is not trained, which calibration leaves out.
    seconds_an_image = (time.perf_counter() - started) / images + 1 / calibration.images_per_second
    epoch = job.train.steps * int(recipe.train.batch_size) * seconds_an_image
    judging = job.validation_images * _FORWARD / calibration.images_per_second
    return lambda epochs: epochs * epoch + (epochs + 1) * judging
