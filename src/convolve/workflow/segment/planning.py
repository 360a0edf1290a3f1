"""The plan of a run on masks: every choice made and measured once, written down, and read again."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from convolve.data.native_pack import NativePack
from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.data.pixel_statistics import channel_statistics, measure_range
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.pretrained import Weights
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.folder import Run
from convolve.training.calibrate import Calibration
from convolve.training.compute import Compute
from convolve.training.tuning import TuningJob
from convolve.workflow.around_backbone import calibrated, within_budget
from convolve.workflow.data import Member, Opened
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
from convolve.workflow.segment.build import PATCHES_JUDGED, check_map_names, crop_size, map_job
from convolve.workflow.segment.choices import choose_map_split, choose_parts, choose_training
from convolve.workflow.segment.data import PreparedMasks, prepare_masks

_BATCHES_TIMED = 5
# Of a training step; the way back takes about twice as long.
_FORWARD = 1 / 3


@dataclass(frozen=True, kw_only=True)
class MapPlan(AnyPlan):
    """The plan of a training on masks.

    Attributes:
        preprocessing: from an image's values to the network's.
    """

    preprocessing: PixelPreprocessing


def make_or_read_map_plan(
    run: Run, recipe: Recipe, opened: Opened, progress: Progress, say: Say
) -> tuple[MapPlan, PreparedMasks]:
    """The plan that the run folder has, or a new one, written there.

    Raises:
        UserError: the recipe does not suit the data, or the data changed since the plan was made.
    """

    def read() -> tuple[MapPlan, PreparedMasks]:
        plan = read_map_plan(run)
        return plan, prepare_masks(plan.recipe, opened, progress)

    return made_or_read(run, opened, make=lambda: _make_plan(run, recipe, opened, progress, say), read=read)


def read_map_plan(run: Run) -> MapPlan:
    """The plan that a run has."""
    kept = run.read("plan")
    return MapPlan(preprocessing=PixelPreprocessing.model_validate(kept["preprocessing"]), **plan_parts(kept))


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """A recipe with every choice made that needs no measuring, and what was looked at for it."""

    recipe: Recipe
    reasons: dict[str, str]
    prepared: PreparedMasks
    trainings: list[Member]
    weights: Weights | None


def map_recipe_for(opened: Opened, recipe: Recipe, progress: Progress) -> Choices:
    """The recipe with every choice made that needs no measuring; masks are decoded for it.

    Raises:
        UserError: the recipe does not suit the data.
    """
    chosen = _choose(recipe, opened, progress)
    return Choices(chosen.recipe, chosen.reasons)


def _choose(recipe: Recipe, opened: Opened, progress: Progress) -> _Chosen:
    # Names are checked before the images are decoded: a typing error should not cost a minute.
    check_map_names(recipe)
    recipe, reasons = choose_map_split(recipe, opened.dataset)
    prepared = prepare_masks(recipe, opened, progress)
    trainings = recipe_members(recipe, prepared)
    own = trainings[-1]
    check_rows(own)
    parts, weights = choose_parts(recipe, opened.dataset, prepared.pack)
    choices = choose_training(parts.recipe, opened.dataset, prepared.pack, own.train)
    return _Chosen(
        recipe=choices.recipe,
        reasons=reasons | parts.reasons | choices.reasons,
        prepared=prepared,
        trainings=trainings,
        weights=weights,
    )


def _make_plan(run: Run, recipe: Recipe, opened: Opened, progress: Progress, say: Say) -> tuple[MapPlan, PreparedMasks]:
    chosen = _choose(recipe, opened, progress)
    recipe, reasons, prepared, trainings = chosen.recipe, chosen.reasons, chosen.prepared, chosen.trainings
    own = trainings[-1]
    say_problems(prepared, say)
    preprocessing = measured_preprocessing(recipe, prepared.pack, own, chosen.weights)
    say_reasons(recipe, reasons, say)
    job = map_job(recipe, prepared, preprocessing, own, Compute(), run.folder, progress)
    if job.loaded is not None:
        say(f"weights: {job.loaded.sentence}")
    job.freeze()
    batch = job.train.batch(0, 0)
    calibration = calibrated(recipe, job.network.trained, job.objective, batch, job.normalise, progress)
    say(f"computing: {calibration.chosen}, {calibration.images_per_second:.1f} {job.network.trained_on} a second")
    training = _seconds_of_training(recipe, job, prepared.pack, own, calibration)
    choices = within_budget(recipe, training, images=len(own.train), trainings=len(trainings), say=say)
    plan = MapPlan(
        recipe=choices.recipe,
        reasons=reasons | choices.reasons,
        calibration=calibration,
        weights=job.loaded,
        preprocessing=preprocessing,
    )
    write_plan(run, plan, opened, preprocessing=preprocessing.model_dump(mode="json"))
    return plan, prepared


def measured_preprocessing(
    recipe: Recipe, pack: NativePack, own: Member, weights: Weights | None
) -> PixelPreprocessing:
    """From values to the network's input: range, mean and deviation of the training images, or of the weights'."""
    low, high = measure_range(pack, own.train)
    mean, std = channel_statistics(pack, own.train, low, high)
    if weights is not None and pack.channels in (1, 3):
        mean, std = (_of_channels(values, pack.channels) for values in (weights.mean, weights.std))
    return PixelPreprocessing(
        channels=pack.channels,
        bands=None if recipe.data.bands == "auto" else tuple(recipe.data.bands),
        low=low,
        high=high,
        mean=mean,
        std=std,
        scale=recipe.segment.scale,
    )


def _of_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Those of weights for other channels: a grey image is to them one whose red, green and blue are equal."""
    return values if len(values) == channels else (sum(values) / len(values),) * channels


def _seconds_of_training(
    recipe: Recipe, job: TuningJob[PixelNetwork], pack: NativePack, own: Member, calibration: Calibration
) -> Callable[[int], float]:
    """How long one training of so many epochs takes, judging the validation images after each included."""
    steps = min(job.train.steps, _BATCHES_TIMED)
    started = time.perf_counter()
    crops = sum(len(job.train.batch(0, step).rows) for step in range(steps))
    # Cutting and augmentation, which calibration leaves out.
    seconds_a_crop = (time.perf_counter() - started) / crops + 1 / calibration.images_per_second
    epoch = job.train.steps * int(recipe.train.batch_size) * seconds_a_crop
    if job.network.trained_on == "patches":
        judged = PATCHES_JUDGED
    else:
        height, width = crop_size(recipe, pack, own.train)
        judged = pack.hw[own.validation].prod(axis=1).sum() * recipe.segment.scale**2 / (height * width)
    judging = float(judged) * _FORWARD / calibration.images_per_second
    return lambda epochs: epochs * epoch + (epochs + 1) * judging
