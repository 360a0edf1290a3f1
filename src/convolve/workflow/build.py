"""A resolved recipe becomes objects: the only place that knows both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer

from convolve.data.augment.augmentation import Augmentation, build_augmentation
from convolve.data.dataset import Dataset
from convolve.data.preprocessing import Preprocessing
from convolve.networks.catalogue import find_architecture, published_weights
from convolve.networks.loading import LoadReport, load_backbone
from convolve.networks.network import Network
from convolve.networks.pretrained import Weights, find_weights
from convolve.networks.weight_files import read_weight_file
from convolve.progress import Progress
from convolve.randomness import torch_randomness
from convolve.recipe.schema import Recipe
from convolve.registry import checked_options
from convolve.tasks.making import task_of
from convolve.training.compute import Compute, choose_device, choose_engine
from convolve.training.fit import FitSettings
from convolve.training.optimisers import OPTIMISERS, parameter_groups
from convolve.training.schedules import SCHEDULES, Schedule
from convolve.training.starts import STARTS, Job, Start
from convolve.training.starts.features import Features
from convolve.training.task import Task
from convolve.workflow.data import Member, Prepared, inner_folds
from convolve.workflow.own_weights import weights_of_other_task


@dataclass(frozen=True)
class Built:
    """A network at its beginning, and what was loaded into it."""

    network: Network
    loaded: LoadReport | None


def check_names(recipe: Recipe) -> None:
    """Find every part that the recipe names and check its options, before any work starts.

    Raises:
        UserError: an unknown name, an unknown option or a bad value.
    """
    recipe_start(recipe)
    recipe_schedule(recipe)
    kind = OPTIMISERS[recipe.optimiser.name]
    checked_options(kind.build, recipe.optimiser.options, where="optimiser.options")
    recipe_augmentation(recipe, fill=(0,))
    checked_options(find_architecture(recipe.network.name).build, recipe.network.options, where="network.options")
    _check_layers(recipe)
    choose_engine(recipe.compute.engine, choose_device(recipe.compute.device))
    source = recipe_weights(recipe)
    if isinstance(source, Path):
        read_weight_file(source)


def _check_layers(recipe: Recipe) -> None:
    """See that the layers that a recipe names give features, on a network built for this alone."""
    start, side = recipe_start(recipe), recipe.data.image_size
    if isinstance(start, Features) and start.names_layers and side != "auto":
        architecture = find_architecture(recipe.network.name)
        channels = max(architecture.channels)
        with torch_randomness("shape of the network"):
            network = architecture.create(2, channels=channels, image_hw=(side, side), options=recipe.network.options)
        start.check_network(network.backbone, channels=channels, image_hw=(side, side))


def recipe_start(recipe: Recipe) -> Start:
    """The start that the recipe names."""
    kind = STARTS[recipe.start.name]
    start: Start = kind(**checked_options(kind, recipe.start.options, where="start.options"))
    return start


def recipe_schedule(recipe: Recipe) -> Schedule:
    """The schedule that the recipe names, at its beginning."""
    kind = SCHEDULES[recipe.schedule.name]
    return kind(**checked_options(kind, recipe.schedule.options, where="schedule.options"))


def recipe_augmentation(recipe: Recipe, *, fill: tuple[int, ...]) -> Augmentation | None:
    """The augmentation that the recipe describes; None if it changes nothing."""
    spec = {name: value for name, value in recipe.augment.items() if name != "preset"}
    return build_augmentation(spec, fill=fill) if spec else None


def recipe_task(recipe: Recipe, dataset: Dataset, train: NDArray[np.int64]) -> Task:
    """The task, with class weights from the training images."""
    return task_of(
        dataset, train=train, class_weights=recipe.loss.class_weights, label_smoothing=recipe.loss.label_smoothing
    )


def recipe_network(recipe: Recipe, *, outputs: int, preprocessing: Preprocessing, seed: int) -> Built:
    """The network with its initial weights, pre-trained where the recipe says so."""
    with torch_randomness(seed, "weights"):
        network = find_architecture(recipe.network.name).create(
            outputs,
            channels=preprocessing.channels,
            image_hw=preprocessing.image_hw,
            options=recipe.network.options,
        )
    source = recipe_weights(recipe)
    return Built(network, None if source is None else load_backbone(network, source))


def recipe_weights(recipe: Recipe) -> Weights | Path | None:
    """The source of the pre-trained weights, if the recipe has one and the start uses it."""
    wanted = recipe.network.weights
    if wanted == "none" or recipe.start.name == "scratch":
        return None
    if wanted == "hub":
        return published_weights(recipe.network.name)
    if wanted == "auto":
        return find_weights(recipe.network.name)
    return weights_of_other_task(Path(wanted)) or Path(wanted)


def recipe_settings(recipe: Recipe, *, seed: int) -> FitSettings:
    """The training loop's settings."""
    epochs, lr = recipe.train.epochs, recipe.optimiser.lr
    assert epochs != "auto"  # noqa: S101
    assert lr != "auto"  # noqa: S101
    return FitSettings(
        epochs=epochs,
        lr=lr,
        warmup=recipe.schedule.warmup,
        accumulate=recipe.train.accumulate,
        clip_norm=recipe.train.clip_norm,
        average=recipe.train.average,
        patience=recipe.train.patience,
        checkpoint_seconds=recipe.train.checkpoint,
        seed=seed,
    )


def recipe_job(
    recipe: Recipe,
    prepared: Prepared,
    preprocessing: Preprocessing,
    member: Member,
    compute: Compute,
    folder: Path,
    progress: Progress,
) -> Job:
    """Everything for one training of a run."""
    task = recipe_task(recipe, prepared.dataset, member.train)
    built = recipe_network(recipe, outputs=task.outputs, preprocessing=preprocessing, seed=member.seed)
    batch_size, decay = recipe.train.batch_size, recipe.optimiser.weight_decay
    assert batch_size != "auto"  # noqa: S101
    assert decay != "auto"  # noqa: S101

    def make_optimiser(trained: nn.Module, lr_factors: Sequence[tuple[nn.Module, float]] = ()) -> Optimizer:
        kind = OPTIMISERS[recipe.optimiser.name]
        options = checked_options(kind.build, recipe.optimiser.options, where="optimiser.options")
        groups = parameter_groups(trained, decay, lr_factors)
        return kind.build(groups, 0.0 if recipe.optimiser.lr == "auto" else recipe.optimiser.lr, **options)

    return Job(
        network=built.network,
        loaded=built.loaded,
        task=task,
        images=prepared.pack.images,
        targets=task.pack_targets(prepared.dataset.samples),
        train_rows=member.train,
        validation_rows=member.validation,
        unlabelled_rows=member.unlabelled,
        folds=inner_folds(prepared, member),
        batch_size=batch_size,
        augmentation=recipe_augmentation(recipe, fill=preprocessing.fill),
        augmentation_key=json.dumps(recipe.augment, sort_keys=True),
        preprocessing=preprocessing,
        compute=compute,
        engine_required=recipe.compute.engine != "auto",
        settings=recipe_settings(recipe, seed=member.seed),
        make_optimiser=make_optimiser,
        make_schedule=lambda: recipe_schedule(recipe),
        images_key=f"{prepared.pack.key}/{preprocessing.model_dump_json()}",
        folder=folder,
        progress=progress,
    )
