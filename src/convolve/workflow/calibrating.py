"""How a recipe's training is computed fastest on this machine, measured once and kept."""

from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from convolve.data.cache import store
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.environment import describe_environment
from convolve.training.calibrate import Calibration, calibrate, candidates
from convolve.training.compute import Compute, choose_device, choose_engine
from convolve.training.inference import in_test_mode
from convolve.training.optimisers import ClosureOptimiser
from convolve.training.starts import Division, Job
from convolve.workflow.build import recipe_start

_SECONDS_A_WAY = 1.0


def calibrated(recipe: Recipe, job: Job, progress: Progress) -> Calibration:
    """The fastest way to compute; compiling is tried only where the training is long enough to earn it back."""
    settings, epochs = recipe.compute, recipe.train.epochs
    device = choose_device(settings.device)
    engine = choose_engine(settings.engine, device)

    closed = _asks_for_losses(recipe, job)

    def ways(seconds: float) -> list[Compute]:
        return candidates(
            device,
            memory_format=settings.memory_format,
            # Curvature needs all bits, and what is compiled cannot be differentiated twice.
            precision="float32" if closed and settings.precision == "auto" else settings.precision,
            compile_network="off" if closed else settings.compile,
            seconds_forecast=seconds,
        )

    if recipe.start.name == "features" and engine != "torch":
        # Nothing to choose from, and making the engine ready costs more than timing it: its speed is told when it runs.
        # Should torch stand in, the last way of all is mostly the fastest.
        chosen = ways(0.0)[-1].model_copy(update={"engine": engine, "compiled": False})
        return Calibration(chosen=chosen, images_per_second=0.0, measurements=())
    measured = _timed(recipe, job, ways(0.0), progress)
    if recipe.start.name == "features":
        return measured
    assert epochs != "auto"  # noqa: S101
    seconds = epochs * len(job.train_rows) / measured.images_per_second
    longer = ways(seconds if recipe.budget == "none" else min(seconds, recipe.budget))
    if len(longer) > len(ways(0.0)):
        measured = _timed(recipe, job, longer, progress)
    return measured.model_copy(update={"chosen": measured.chosen.model_copy(update={"engine": engine})})


def _asks_for_losses(recipe: Recipe, job: Job) -> bool:
    """Whether a step of the optimiser is something else than one gradient."""
    return recipe.start.name != "features" and isinstance(job.make_optimiser(job.network), ClosureOptimiser)


def entering(division: Division, images: Tensor) -> Tensor:
    """What the trained part of a network is given for these normalised images."""
    if division.frozen is None:
        return images
    with in_test_mode(division.frozen), torch.no_grad():
        activations: Tensor = division.frozen(images)
    return activations


def _timed(recipe: Recipe, job: Job, ways: list[Compute], progress: Progress) -> Calibration:
    trained = recipe.start.name != "features"
    environment = describe_environment()
    division = recipe_start(recipe).divide(job.network, job.preprocessing)
    facts = [environment["processor"], environment["threads"], environment["packages"]["torch"], repr(division.trained)]
    facts += [job.preprocessing.image_hw, job.batch_size, trained, [str(way) for way in ways]]
    closed = _asks_for_losses(recipe, job)
    facts += [recipe.optimiser.name, recipe.optimiser.options] if closed else []
    key = blake2b(repr(facts).encode(), digest_size=16).hexdigest()

    def write(folder: Path) -> None:
        loader = job.in_order(job.train_rows[: job.batch_size])
        batch = loader.batch(0, 0)
        measured = calibrate(
            division.trained,
            job.task,
            entering(division, job.preprocessing.normalise(batch.images)),
            batch.targets,
            ways,
            trained=trained,
            seconds=_SECONDS_A_WAY,
            progress=progress,
            # Of others the cost hardly differs, and one measurement serves them all.
            make_optimiser=job.make_optimiser if closed else None,
        )
        (folder / "calibration.json").write_text(measured.model_dump_json())

    # Kept, so that the same recipe computes the same way, and gives the same weights, the next time.
    folder = store("calibrations", key, write)
    return Calibration.model_validate_json((folder / "calibration.json").read_text())
