from collections.abc import Callable, Sequence

import torch
from torch import nn

from convolve.data.batch import Batches
from convolve.data.preprocessing import Normalise, Preprocessing
from convolve.networks.network import Network
from convolve.training.features import network_outputs
from convolve.training.fit import Fit, FitResult
from convolve.training.starts import STARTS, Division, Job, Trained


def fit_all(
    job: Job,
    lr_factors: Sequence[tuple[nn.Module, float]] = (),
    begin_epoch: Callable[[int], None] = lambda epoch: None,
) -> FitResult:
    """Train all parameters that are not frozen, from wherever the network stands.

    Args:
        job: its network is trained in place.
        lr_factors: of parts of the network, as `parameter_groups` has them.
        begin_epoch: as `Fit` has it.
    """
    return fit_on(
        job,
        job.network,
        train=job.training_loader(),
        validation=job.in_order(job.validation_rows),
        normalise=job.preprocessing.normalise,
        lr_factors=lr_factors,
        begin_epoch=begin_epoch,
    )


def fit_on(
    job: Job,
    trained: nn.Module,
    *,
    train: Batches,
    validation: Batches,
    normalise: Normalise,
    lr_factors: Sequence[tuple[nn.Module, float]],
    begin_epoch: Callable[[int], None],
) -> FitResult:
    """Train a job's network or its upper part, as the job says, on these batches.

    Args:
        job: its whole network is put in place.
        trained: the network, or what of it the batches go through.
        train: trained on.
        validation: chooses the epoch.
        normalise: from a batch's images to what `trained` takes.
        lr_factors: of parts of `trained`, as `parameter_groups` has them.
        begin_epoch: as `Fit` has it.
    """
    job.compute.place(job.network)
    return Fit(
        network=trained,
        task=job.task,
        train=train,
        validation=validation,
        normalise=normalise,
        optimiser=job.make_optimiser(trained, lr_factors),
        schedule=job.make_schedule(),
        compute=job.compute,
        settings=job.settings,
        folder=job.folder,
        progress=job.progress,
        begin_epoch=begin_epoch,
    ).run()


def finished(job: Job, result: FitResult, *, trained: nn.Module, method: str, notes: tuple[str, ...] = ()) -> Trained:
    """The outcome of a fit, its temperature fitted on the validation images.

    Args:
        job: its network answers as it is now.
        result: of the fit.
        trained: what the fit trained.
        method: as `Trained` has it.
        notes: as `Trained` has them.
    """
    rows = job.validation_rows
    held_out = network_outputs(job, job.network, rows, what="calibrating probabilities")
    targets = job.targets[torch.from_numpy(rows)]
    return Trained(
        network=job.network,
        temperature=job.task.fit_temperature(held_out, targets),
        # Not those of the best epoch: what answers may be a mean over copies, which the loop did not judge.
        validation=job.task.evaluate(held_out, targets),
        chosen_on=f"the {len(job.validation_rows)} validation images, after epoch {result.best_epoch}",
        trained_parameters=sum(p.numel() for p in trained.parameters() if p.requires_grad),
        train_images=len(job.train_rows),
        epochs=result.epochs,
        best_epoch=result.best_epoch,
        seconds=result.seconds,
        images_per_second=result.images_per_second,
        method=method,
        notes=notes,
    )


@STARTS.register("scratch")
class Scratch:
    """Random initial weights, everything trained."""

    def divide(self, network: Network, preprocessing: Preprocessing) -> Division:
        """Nothing is frozen."""
        return Division(frozen=None, trained=network)

    def train(self, job: Job) -> Trained:
        """Train from the network's initial weights."""
        origin = "from random values" if job.loaded is None else "from the weights that it started with"
        method = f"All of its parameters were trained {origin}."
        return finished(job, fit_all(job), trained=job.network, method=method)
