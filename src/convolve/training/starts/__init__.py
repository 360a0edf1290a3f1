"""Where a training begins and what is trained: the rungs of the transfer ladder, one file each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from convolve.data.augment.augmentation import Augmentation
from convolve.data.loader import Loader
from convolve.data.preprocessing import Preprocessing
from convolve.networks.loading import LoadReport
from convolve.networks.network import Network
from convolve.progress import Progress
from convolve.registry import Registry
from convolve.training.compute import Compute
from convolve.training.fit import FitSettings
from convolve.training.schedules import Schedule
from convolve.training.task import Task


class MakeOptimiser(Protocol):
    """Makes the recipe's optimiser."""

    def __call__(self, trained: nn.Module, lr_factors: Sequence[tuple[nn.Module, float]] = ()) -> Optimizer:
        """Over all of a module that requires gradients; `lr_factors` are those of `parameter_groups`."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything one training needs, finished parts and plain values.

    Attributes:
        network: already at its initial or pre-trained weights; trained in place.
        loaded: what became of the pre-trained weights, if there are any.
        task: loss, score, predictions.
        images: (N, H, W, C) uint8, the pack.
        targets: (N, ...) as the task packed them.
        train_rows, validation_rows: row numbers of the pack.
        unlabelled_rows: rows whose labels must not be used; pre-training may look at them.
        folds: (N,) fold of each row, for cross-validation among training images; what belongs together shares one.
        batch_size: images per forward pass.
        augmentation: of training images, or None.
        augmentation_key: names the augmentation in the cache: equal keys, equal changes.
        preprocessing: normalises images.
        compute: where and how.
        engine_required: the recipe names the engine of frozen layers; where it fails, no other stands in.
        settings: of the loop.
        make_optimiser: over the trained parameters of a module.
        make_schedule: a new one, at its beginning.
        images_key: names the images in the cache, as the network gets them: equal keys, equal images.
        folder: for checkpoints and history.
        progress: told how far it is.
    """

    network: Network
    loaded: LoadReport | None = None
    task: Task
    images: NDArray[np.uint8]
    targets: Tensor
    train_rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]
    unlabelled_rows: NDArray[np.int64]
    folds: NDArray[np.int64]
    batch_size: int
    augmentation: Augmentation | None
    augmentation_key: str
    preprocessing: Preprocessing
    compute: Compute
    engine_required: bool
    settings: FitSettings
    make_optimiser: MakeOptimiser
    make_schedule: Callable[[], Schedule]
    images_key: str
    folder: Path
    progress: Progress

    def training_loader(self) -> Loader:
        """The training images, shuffled and augmented."""
        return Loader(
            self.images,
            self.targets,
            self.train_rows,
            batch_size=self.batch_size,
            seed=self.settings.seed,
            augmentation=self.augmentation,
            shuffle=True,
        )

    def in_order(self, rows: NDArray[np.int64]) -> Loader:
        """A loader of plain images in the order of `rows`."""
        return Loader(self.images, self.targets, rows, batch_size=self.batch_size, seed=0, shuffle=False)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a training came about, whatever was trained; plain JSON values.

    Attributes:
        temperature: divisor of the outputs, fitted on images that were not trained on.
        validation: figures that chose the network; never to be reported as its quality.
        chosen_on: in words, what those figures were measured on.
        trained_parameters: numbers that training or fitting set.
        train_images: how many images with their labels it learned from.
        epochs: passes over the training images.
        best_epoch: whose weights were kept, from 1; 0 = those before the first epoch; None without epochs.
        seconds: spent.
        images_per_second: of training with gradients, 0 if nothing was in this session.
        method: what was trained and how, sentences in the past tense for a paper.
        notes: sentences for the report.
    """

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
    notes: tuple[str, ...] = ()

    def card(self) -> dict[str, Any]:
        """All of these, by name."""
        values = {one.name: getattr(self, one.name) for one in fields(Outcome)}
        return values | {"notes": list(self.notes)}


@dataclass(frozen=True, kw_only=True)
class Trained(Outcome):
    """A trained classifier, and how it came about.

    Attributes:
        network: with its best weights.
        features: (N, D) of all rows where the backbone is untouched, so that outputs need the head alone.
    """

    network: Network
    features: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Division:
    """A network in two: what every image goes through but once, and what is trained.

    Attributes:
        frozen: images -> activations, computed once for each view of an image and kept; None where all is trained.
        trained: activations, or images where nothing is frozen, -> outputs.
        most_views: of each training image, at most; epochs beyond begin again with the first.
    """

    frozen: nn.Module | None
    trained: nn.Module
    most_views: int = 0

    def views(self, *, epochs: int, augmented: bool) -> int:
        """How many views of each training image go through the frozen part."""
        if self.frozen is None:
            return 0
        return min(epochs, self.most_views) if augmented else 1


class Start(Protocol):
    """One rung; its constructor's keyword-only parameters are what a recipe's `start.options` may set."""

    def divide(self, network: Network, preprocessing: Preprocessing) -> Division:
        """What of a network is trained with gradients; its modules are the network's own.

        Raises:
            UserError: the options do not suit the network.
        """

    def train(self, job: Job) -> Trained:
        """Train a job's network, going on from the job's folder if something is there."""


STARTS: Registry[Callable[..., Any]] = Registry("start", "convolve.training.starts")
