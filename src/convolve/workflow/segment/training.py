"""One training on masks: the network, its temperature, and how it fared on the images held out."""

import operator
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.dataset import IGNORE
from convolve.data.native_pack import NativePack
from convolve.deploy.segmentation.model import SegmentationModel, describe_pixel_network, load_segmentation_model
from convolve.deploy.segmentation.uncertainty import Views
from convolve.networks.pixel_network import PixelNetwork
from convolve.progress import Progress
from convolve.randomness import numpy_generator
from convolve.run.folder import Run
from convolve.run.tensors import read_tensors, write_tensors
from convolve.tasks.classify.one_label import OneLabel
from convolve.tasks.segment.tally import ImageTally, from_tensors, tally_image, to_tensors, without_borders
from convolve.training.inference import compute_outputs
from convolve.training.starts import Outcome
from convolve.training.tuning import TuningJob, fit_tuned
from convolve.workflow.data import Member
from convolve.workflow.planning import Say, check_weights
from convolve.workflow.results import TrainingFacts
from convolve.workflow.segment.build import crop_size, judging_batches, map_job
from convolve.workflow.segment.data import PreparedMasks
from convolve.workflow.segment.planning import MapPlan

_TALLIES = "tallies.safetensors"
_TRAINED = "trained"
# Of validation images, evenly spread: their pixels are many, and alike within an image.
_CALIBRATED_ON, _BY_PATCHES = 64, 8
_PIXELS_AN_IMAGE = 5000
_TIMED = 5
_CROP_BY_PATCHES = (256, 256)


@dataclass(frozen=True, kw_only=True)
class HeldOutMasks(TrainingFacts):
    """One training on masks, and how it fared on the images held out from it.

    Attributes:
        tallies: for every image of `member.held_out`.
        prediction_seconds: of an image, mean; None where none was held out.
    """

    tallies: Sequence[ImageTally]
    prediction_seconds: float | None


def train_map_member(
    run: Run, plan: MapPlan, prepared: PreparedMasks, member: Member, progress: Progress, say: Say
) -> HeldOutMasks:
    """One training of a run, or what is left to do of it."""
    folder = run.member(member.name) if member.name else run.folder
    kept, files = folder / _TALLIES, Run(folder)
    if not kept.exists():
        if files.read(_TRAINED) is None:
            if member.name:
                say(f"training {member.name}")
            files.write(_TRAINED, _train(run, plan, prepared, member, folder, progress).card())
            (folder / "checkpoint.safetensors").unlink(missing_ok=True)
        # Testing may take longer than training, patch by patch above all, and is a step of its own.
        model = load_segmentation_model(files.model, compute=plan.calibration.chosen)
        tallies = tally_rows(model, prepared.pack, member.held_out, erode=plan.recipe.segment.erode, progress=progress)
        seconds = _prediction_seconds(model, prepared.pack, member.held_out)
        stacked = to_tensors(tallies, len(prepared.dataset.classes))
        write_tensors(kept, "tallies", stacked, files.read(_TRAINED) | {"prediction_seconds": seconds})
    tensors, card = read_tensors(kept, "tallies")
    return HeldOutMasks(member=member, tallies=from_tensors(tensors), **card)


def share_weights(source: Run, target: Run, plan: MapPlan) -> None:
    """Give a run that has a plan the weights of another, whose network has the same layers; it is left to test them.

    Args:
        source: finished.
        target: of another rung of the ladder.
        plan: the target's.
    """
    if target.read(_TRAINED) is not None:
        return
    rung = plan.recipe.segment
    load_segmentation_model(source.model).with_score_map(rung.name, rung.options).save(target.model)
    card = source.read(_TRAINED)
    note = f"The weights are those of {source.folder.name}: nothing was trained here."
    target.write(_TRAINED, card | {"seconds": 0.0, "notes": [*card["notes"], note]})


def tally_rows(
    model: SegmentationModel,
    pack: NativePack,
    rows: NDArray[np.int64],
    *,
    erode: int,
    progress: Progress,
    passes: int = 0,
    views: Views = "none",
) -> list[ImageTally]:
    """How a model fares on each of these rows of the pack.

    Args:
        model: as it predicts.
        pack: images and masks.
        rows: (M,) of the pack.
        erode: pixels on either side of a border between classes that count nowhere.
        progress: told of every image.
        passes: whose mean is judged, see `SegmentationModel.segment`.
        views: likewise.
    """
    prediction = model.prediction(passes=passes, views=views)
    tallies = []
    for number, row in enumerate(rows.tolist()):
        mask = without_borders(pack.mask(row), erode)
        with model.source(pack.image(row), pack.valid(row)) as source:
            # By strips, so that no map of a large image is ever whole in memory.
            parts = [
                tally_image(strip.probabilities, mask[strip.top :][: len(strip.labels)], entropy=strip.entropy)
                for strip in prediction.strips(source, name=f"image {row}")
            ]
        tallies.append(reduce(operator.add, parts))
        progress("testing", number + 1, len(rows))
    return tallies


def _prediction_seconds(model: SegmentationModel, pack: NativePack, rows: NDArray[np.int64]) -> float | None:
    """Mean time to predict one of a few images, after one that warms up; None where there is none."""
    times = []
    for row in [*rows[:1], *rows[:_TIMED]]:
        started = time.perf_counter()
        model.segment(pack.image(row), valid=pack.valid(row))
        times.append(time.perf_counter() - started)
    return float(np.mean(times[1:])) if times else None


def _train(
    run: Run, plan: MapPlan, prepared: PreparedMasks, member: Member, folder: Path, progress: Progress
) -> Outcome:
    """Train and save the model."""
    job = map_job(plan.recipe, prepared, plan.preprocessing, member, plan.calibration.chosen, folder, progress)
    check_weights(run, plan, job.loaded)
    outcome = _fit(job, plan, prepared, member)
    _model(job, plan, prepared, outcome, member).save(Run(folder).model)
    return outcome


def _fit(job: TuningJob[PixelNetwork], plan: MapPlan, prepared: PreparedMasks, member: Member) -> Outcome:
    result = fit_tuned(job)
    classes = prepared.dataset.classes
    patches = job.network.trained_on == "patches"
    most = _BY_PATCHES if patches else _CALIBRATED_ON
    rows = member.validation
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))]
    logits, truth = _validation_pixels(job, plan, prepared, rows)
    verb = "fine-tuned from pre-trained weights" if job.tuning else "trained from random values"
    unit = "patches around single pixels" if patches else "crops of the images with their masks"
    return Outcome(
        temperature=OneLabel(classes).fit_temperature(logits, truth),
        validation=result.best,
        chosen_on=f"{job.validation_images} validation images, after epoch {result.best_epoch}",
        trained_parameters=sum(p.numel() for p in job.network.trained.parameters() if p.requires_grad),
        train_images=job.train_images,
        epochs=result.epochs,
        best_epoch=result.best_epoch,
        seconds=result.seconds,
        images_per_second=result.images_per_second,
        method=f"The network was {verb} on {unit}.",
    )


def _validation_pixels(
    job: TuningJob[PixelNetwork], plan: MapPlan, prepared: PreparedMasks, rows: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Logits (M, K) and classes (M,) of some pixels of these images."""
    patches = job.network.trained_on == "patches"
    crop_hw = _CROP_BY_PATCHES if patches else crop_size(plan.recipe, prepared.pack, rows)
    smallest = job.network.smallest_side
    batches = judging_batches(prepared.pack, rows, plan.preprocessing, crop_hw=crop_hw, at_once=1, smallest=smallest)
    generator = numpy_generator("calibration pixels")

    def condense(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        places = np.flatnonzero((targets != IGNORE).numpy().ravel())
        some = torch.from_numpy(generator.choice(places, min(len(places), _PIXELS_AN_IMAGE), replace=False))
        return outputs.movedim(1, -1).reshape(-1, outputs.shape[1])[some], targets.ravel()[some]

    pixels = compute_outputs(
        job.network, batches, job.normalise, job.compute, condense=condense, progress=job.progress, what="calibrating"
    )
    return pixels.outputs, pixels.targets


def _model(
    job: TuningJob[PixelNetwork], plan: MapPlan, prepared: PreparedMasks, outcome: Outcome, member: Member
) -> SegmentationModel:
    recipe, dataset = plan.recipe, prepared.dataset
    assert dataset.coding is not None  # noqa: S101
    return SegmentationModel(
        network=job.network,
        architecture=describe_pixel_network(job.network, recipe),
        classes=dataset.classes,
        colours=dataset.coding.colours,
        preprocessing=plan.preprocessing,
        temperature=outcome.temperature,
        facts={
            "data": dataset.name,
            "data_licence": dataset.licence,
            "train_images": outcome.train_images,
            "start": recipe.start.name,
            "weights": recipe.network.weights,
            "seed": member.seed,
        },
        compute=job.compute,
    )
