"""`convolve pretrain`: from images without labels to a backbone that other trainings start from."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.augment.presets import preset_of_views, with_preset
from convolve.data.dataset import ClassLabel, Dataset
from convolve.data.loader import Loader
from convolve.data.pack import Pack, pack
from convolve.data.preprocessing import Preprocessing
from convolve.data.unlabelled import read_images, without_test
from convolve.deploy.backbone import save_backbone
from convolve.errors import UserError, shown
from convolve.networks.network import Network
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.recipe.values import format_duration
from convolve.run.environment import describe_environment
from convolve.run.folder import Run, choose_run
from convolve.training.compute import Compute, choose_device
from convolve.training.inference import compute_outputs
from convolve.training.pretraining.pretrain import Pretraining, images_per_second, pretrain, some_rows
from convolve.training.starts.unsupervised import Unsupervised
from convolve.workflow.budget import keep_pretraining_budget
from convolve.workflow.build import check_names, recipe_network
from convolve.workflow.data import Opened, measured, open_dataset
from convolve.workflow.plan import changed, plan_data, plan_training
from convolve.workflow.planning import Say

_NEIGHBOURS = 20
_MOST_NEIGHBOURS_ROWS = 2000
_STEPS_TIMED = 3


def pretrain_run(recipe: Recipe, *, out: Path | None, progress: Progress, say: Say) -> Run:
    """Pre-train on what a recipe names, or go on where the same pre-training stopped.

    A test split that the data gives is left out, and labels are used for one figure only: how well the nearest
    neighbours among the features agree with them, before and after.

    Args:
        recipe: `data.path` may be any data set, or a folder of images; of the rest, network, start.options, augment,
            train.epochs, optimiser.lr, compute, budget and seed count.
        out: the run's folder; None = the next free one below runs/.
        progress: told how far it is.
        say: told what was chosen and why.

    Raises:
        UserError: the input cannot be used; nothing is left behind then.
    """
    recipe = _of_start_unsupervised(recipe)
    dataset = without_test(read_images(recipe.data.path))
    opened = open_dataset(dataset, progress)
    choices, preprocessing, unmeasured = plan_data(recipe, dataset, opened.survey)
    resolved = plan_training(choices.recipe, dataset, np.arange(len(dataset.samples)), preprocessing).recipe
    check_names(resolved)
    augment = with_preset(_augment(recipe, preprocessing))
    build_augmentation(augment, fill=preprocessing.fill)
    packed = pack(dataset, preprocessing, hashes=opened.hashes, progress=progress)
    if len(packed.usable) < 2:
        raise UserError(f"{dataset.name}: {len(packed.usable)} of its images can be used", "Pre-training takes many.")
    if unmeasured:
        preprocessing = measured(preprocessing, packed.images, packed.usable)
    # Weights that do not fit are refused before there is a folder.
    network = recipe_network(resolved, outputs=1, preprocessing=preprocessing, seed=recipe.seed).network
    run = choose_run(f"pretrain/{dataset.name}", json.loads(recipe.model_dump_json()), out)
    with run.locked():
        if run.read("results") is not None:
            say(f"{run.folder}: this pre-training is finished already")
            return run
        for key, reason in choices.reasons.items():
            if key.startswith(("network", "data.image_size", "data.fit")):
                say(f"{key}: {reason}")
        if packed.broken:
            names = [f"{dataset.samples[row].name}: {why}" for row, why in sorted(packed.broken.items())]
            say(f"left out: {shown(names)}")
        _pretrain(run, resolved, opened, packed, network, preprocessing, augment, progress, say)
    return run


def _pretrain(
    run: Run,
    recipe: Recipe,
    opened: Opened,
    packed: Pack,
    network: Network,
    preprocessing: Preprocessing,
    augment: dict[str, Any],
    progress: Progress,
    say: Say,
) -> None:
    dataset, started = opened.dataset, time.monotonic()
    compute = Compute(
        device=choose_device(recipe.compute.device),
        channels_last=recipe.compute.memory_format != "contiguous",
        bfloat16=recipe.compute.precision == "bfloat16",
    )
    kept = run.read("plan")
    if kept is None:
        recipe = _with_budget(recipe, packed, preprocessing, augment, compute, progress, say)
        kept = {"fingerprint": opened.fingerprint, "recipe": json.loads(recipe.model_dump_json())}
        run.write("environment", describe_environment())
        run.write("plan", kept)
    if kept["fingerprint"] != opened.fingerprint:
        raise UserError(f"{run.folder}: the data changed since this began", "Restore it, or give another --out.")
    recipe = Recipe.model_validate(kept["recipe"])
    before = _neighbours(network.backbone, dataset, packed, preprocessing, compute)
    done = pretrain(_work(recipe, network, packed, preprocessing, augment, compute, run.folder, progress))
    after = _neighbours(network.backbone, dataset, packed, preprocessing, compute)
    facts = {"data": dataset.name, "data_licence": dataset.licence, "start": "unsupervised", "seed": recipe.seed}
    save_backbone(
        run.model,
        network,
        name=recipe.network.name,
        options=recipe.network.options,
        preprocessing=preprocessing,
        facts=facts | {"train_images": done.images},
    )
    results: dict[str, Any] = {
        "task": "pretrain",
        "data": dataset.name,
        "network": recipe.network.name,
        "left_out": len(dataset.problems) + len(packed.broken),
        **asdict(done),
        "session_seconds": time.monotonic() - started,
    }
    if before is not None:
        results["neighbours"] = {"accuracy": after, "before": before}
    # Last of all: a run with results is whole.
    run.write("results", results)


def _of_start_unsupervised(recipe: Recipe) -> Recipe:
    if recipe.start.name not in ("auto", "unsupervised"):
        raise UserError(f"start={recipe.start.name}: `convolve pretrain` is unsupervised", "Leave start out.")
    options = dict(recipe.start.options)
    if recipe.train.epochs != "auto":
        options["epochs"] = recipe.train.epochs
    recipe = changed(recipe, "start", name="unsupervised", options=options)
    recipe = changed(recipe, "loss", class_weights="none")
    # Nothing is tested here, so nothing is set aside.
    return recipe.model_copy(update={"folds": 0})


def _augment(recipe: Recipe, preprocessing: Preprocessing) -> dict[str, Any]:
    wanted = dict(recipe.augment)
    if wanted.get("preset", "auto") == "auto":
        wanted["preset"] = preset_of_views(channels=preprocessing.channels, image_hw=preprocessing.image_hw)
    return wanted


def _work(
    recipe: Recipe,
    network: Network,
    packed: Pack,
    preprocessing: Preprocessing,
    augment: dict[str, Any],
    compute: Compute,
    folder: Path,
    progress: Progress,
) -> Pretraining:
    start = Unsupervised(**recipe.start.options)  # type: ignore[arg-type]
    rows = some_rows(np.empty(0, np.int64), packed.usable, at_most=start.images, seed=recipe.seed)
    lr = recipe.optimiser.lr
    return Pretraining(
        network=network,
        method=start.method,
        images=packed.images,
        rows=rows,
        augmentation=build_augmentation(augment, fill=preprocessing.fill),
        preprocessing=preprocessing,
        compute=compute,
        epochs=start.epochs_for(len(rows)),
        batch_size=start.batch_size,
        seed=recipe.seed,
        lr=None if lr == "auto" else lr,
        checkpoint_seconds=recipe.train.checkpoint,
        folder=folder,
        progress=progress,
    )


def _with_budget(
    recipe: Recipe,
    packed: Pack,
    preprocessing: Preprocessing,
    augment: dict[str, Any],
    compute: Compute,
    progress: Progress,
    say: Say,
) -> Recipe:
    """The number of images and epochs that the budget allows, from a few steps of the network's copy."""
    network = recipe_network(recipe, outputs=1, preprocessing=preprocessing, seed=recipe.seed).network
    work = _work(recipe, network, packed, preprocessing, augment, compute, Path(), progress)
    speed = images_per_second(work, steps=_STEPS_TIMED)
    choices = keep_pretraining_budget(
        recipe, images=len(packed.usable), images_per_second=2 * speed, trainings=1, share=1.0
    )
    planned = _work(choices.recipe, network, packed, preprocessing, augment, compute, Path(), progress)
    seconds = len(planned.rows) * planned.epochs / speed
    say(f"forecast: {choices.reasons['start.options']}, about {format_duration(seconds)}")
    return choices.recipe


def _neighbours(
    backbone: nn.Module, dataset: Dataset, packed: Pack, preprocessing: Preprocessing, compute: Compute
) -> float | None:
    """Share of up to 2,000 images whose 20 nearest others mostly have their label; None where there are no labels."""
    usable = packed.usable
    if len(dataset.classes) < 2 or dataset.several_labels or len(usable) <= _NEIGHBOURS:
        return None
    rows: NDArray[np.int64] = usable[np.unique(np.linspace(0, len(usable) - 1, _MOST_NEIGHBOURS_ROWS).astype(np.int64))]
    loader = Loader(packed.images, torch.zeros(len(packed.images)), rows, batch_size=64, seed=0, shuffle=False)
    features = compute_outputs(backbone, loader, preprocessing.normalise, compute, what="comparing features").outputs
    targets = [dataset.samples[row].target for row in rows]
    labels = [target.index for target in targets if isinstance(target, ClassLabel)]
    nearest = KNeighborsClassifier(n_neighbors=_NEIGHBOURS, metric="cosine").fit(features.numpy(), labels)
    # Without an argument each image is judged by the others.
    return float(np.mean(nearest.predict(None) == labels))
