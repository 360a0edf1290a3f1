"""Training of networks around a backbone, for pixels or for boxes; the backbone may have been trained before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

from pydantic import Field
from torch import nn

from convolve.data.batch import Batches
from convolve.data.preprocessing import Normalise
from convolve.errors import UserError
from convolve.networks.loading import LoadReport
from convolve.progress import Progress
from convolve.training.compute import Compute
from convolve.training.fit import Fit, FitResult, FitSettings
from convolve.training.schedules import Schedule
from convolve.training.starts import MakeOptimiser
from convolve.training.task import Objective


class AroundBackbone(Protocol):
    """A network that is new but for its backbone."""

    @property
    def encoder_stages(self) -> Sequence[nn.Module]:
        """The layers that pre-trained weights are for, from the image upwards."""

    @property
    def trained(self) -> nn.Module:
        """What a training loop trains: the network itself, or a part of it."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How layers that were trained before go on.

    Attributes:
        stages: how many of the last stages of the encoder are trained; the others stay as they are.
        lr_factor: of the encoder's learning rate; what is new learns at the full one.
        freeze_norms: the encoder's batch norm keeps the statistics it came with.
    """

    stages: Literal["all"] | int
    lr_factor: float
    freeze_norms: bool


def tuning(
    *,
    stages: Literal["all"] | Annotated[int, Field(ge=0)] = "all",
    lr_factor: Annotated[float, Field(gt=0)] = 0.3,
    freeze_norms: bool = False,
) -> Tuning:
    """A recipe's `start.options` for masks and boxes.

    Args:
        stages: "all", or how many of the encoder's last stages are trained; 0 = only what is new.
        lr_factor: the encoder learns so many times as fast as what is new.
        freeze_norms: batch norm keeps the statistics it came with.
    """
    return Tuning(stages=stages, lr_factor=lr_factor, freeze_norms=freeze_norms)


Trainee = TypeVar("Trainee", bound=AroundBackbone)


@dataclass(frozen=True, kw_only=True)
class TuningJob(Generic[Trainee]):
    """Everything one training needs, finished parts and plain values.

    Attributes:
        network: at its initial or pre-trained weights; trained in place.
        loaded: what became of the pre-trained weights, if there are any.
        objective: the loss, and the figure that chooses the epoch.
        train, validation: what `network.trained` is fed.
        train_images, validation_images: how many images these come from.
        normalise: from a batch's images to what the network takes.
        tuning: of pre-trained layers; None where all weights are new.
        compute: where and how.
        settings: of the loop.
        make_optimiser: over the trained parameters of a module.
        make_schedule: a new one, at its beginning.
        folder: for checkpoints and history.
        progress: told how far it is.
    """

    network: Trainee
    loaded: LoadReport | None
    objective: Objective
    train: Batches
    validation: Batches
    train_images: int
    validation_images: int
    normalise: Normalise
    tuning: Tuning | None
    compute: Compute
    settings: FitSettings
    make_optimiser: MakeOptimiser
    make_schedule: Callable[[], Schedule]
    folder: Path
    progress: Progress

    def freeze(self) -> list[nn.Module]:
        """Set which layers are not trained; returns those that stay in test mode."""
        if self.tuning is None:
            return []
        stages = self.network.encoder_stages
        if self.tuning.stages != "all" and self.tuning.stages > len(stages):
            raise UserError(
                f"start.options.stages={self.tuning.stages}: the encoder has {len(stages)}",
                f'Give at most {len(stages)}, or "all".',
            )
        trained = len(stages) if self.tuning.stages == "all" else self.tuning.stages
        frozen = list(stages[: len(stages) - trained])
        for stage in frozen:
            stage.requires_grad_(False)
        return list(stages) if self.tuning.freeze_norms else frozen


def fit_tuned(job: TuningJob[Any]) -> FitResult:
    """Train a job's network, going on from the job's folder if something is there.

    Raises:
        UserError: the loss is no number any more, or the options do not suit the network.
    """
    in_test_mode = job.freeze()
    factors = [] if job.tuning is None else [(stage, job.tuning.lr_factor) for stage in job.network.encoder_stages]
    trained = job.network.trained

    def begin_epoch(epoch: int) -> None:
        for stage in in_test_mode:
            for module in stage.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    return Fit(
        network=trained,
        task=job.objective,
        train=job.train,
        validation=job.validation,
        normalise=job.normalise,
        optimiser=job.make_optimiser(trained, factors),
        schedule=job.make_schedule(),
        compute=job.compute,
        settings=job.settings,
        folder=job.folder,
        progress=job.progress,
        begin_epoch=begin_epoch,
    ).run()
