"""What a recipe leaves to the program: each choice one rule, with the sentence that tells the user why."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convolve.data.augment.presets import with_preset
from convolve.data.dataset import Dataset, class_counts
from convolve.data.preprocessing import Fit, Preprocessing
from convolve.data.resizing import choose_fit
from convolve.data.survey import Survey
from convolve.deploy.model import weights_of_model
from convolve.errors import UserError, shown
from convolve.networks.catalogue import find_architecture, published_weights
from convolve.networks.choice import choose_network, choose_side
from convolve.networks.pretrained import Weights, find_weights
from convolve.recipe.schema import Recipe, Section
from convolve.training.compute import choose_device
from convolve.training.optimisers import OPTIMISERS
from convolve.training.starts import STARTS

# A test split of fewer images than this says little: cross-validation tests every image instead.
_FEW_IMAGES = 400
# Below, what fine-tuning adds to frozen features is mostly within the error of measuring it; without a GPU, an evening
# is better spent on other things.
_ENOUGH_TO_FINETUNE = 3000
_MOST_VALIDATION_IMAGES = 5000
_UNEVEN = 3.0


@dataclass(frozen=True)
class Choices:
    """A recipe with choices made, and why, by dotted key."""

    recipe: Recipe
    reasons: dict[str, str]


def plan_data(recipe: Recipe, dataset: Dataset, seen: Survey) -> tuple[Choices, Preprocessing, bool]:
    """Choose splits, the network, its weights, the images' size and fit, and so their preprocessing.

    Returns:
        The choices, the preprocessing, and whether its mean and standard deviation are yet to be measured.

    Raises:
        UserError: the network is unknown, or a split cannot be had.
    """
    recipe, reasons = _plan_splits(recipe, dataset)
    name, weights, why = _network(recipe, seen, len(dataset.samples))
    architecture = find_architecture(name)
    source, weights = _weights(recipe, name, weights)
    side = recipe.data.image_size
    if side == "auto":
        side = choose_side(architecture, weights, seen.median_hw)
        height, width = seen.median_hw
        reasons["data.image_size"] = f"the size that suits '{name}'; images are {height} x {width} pixels (median)"
    fit = recipe.data.fit
    if fit == "auto":
        fit, reasons["data.fit"] = choose_fit(seen.original_hw)
    if why:
        reasons["network.name"] = why
    start, start_reason = _start(recipe, source, len(dataset.samples))
    if start_reason:
        reasons["start.name"] = start_reason
    recipe = changed(recipe, "data", image_size=side, fit=fit)
    recipe = changed(recipe, "network", name=name, weights=source)
    choices = Choices(changed(recipe, "start", name=start), reasons)
    return choices, _preprocessing(side, fit, weights, seen), weights is None


def _preprocessing(side: int, fit: Fit, weights: Weights | None, seen: Survey) -> Preprocessing:
    """That of the weights; without any, mean and standard deviation are measured later, on training images."""
    if weights is not None:
        channels: Literal[1, 3] = 1 if len(weights.mean) == 1 else 3
        return Preprocessing(image_hw=(side, side), fit=fit, channels=channels, mean=weights.mean, std=weights.std)
    middle = (0.5,) * seen.channels
    return Preprocessing(
        image_hw=(side, side), fit=fit, channels=seen.channels, mean=middle, std=middle, fill=seen.border
    )


def plan_training(recipe: Recipe, dataset: Dataset, train: NDArray[np.int64], preprocessing: Preprocessing) -> Choices:
    """Choose what follows from the number, kind and balance of the training images."""
    reasons: dict[str, str] = {}
    images = len(train)
    counts = class_counts((dataset.samples[row] for row in train), len(dataset.classes))
    class_weights: str = recipe.loss.class_weights
    if class_weights == "auto":
        class_weights, reasons["loss.class_weights"] = _balance(counts, dataset.classes)
    tuned = recipe.start.name != "scratch"
    train_section = {
        "epochs": _epochs(images, tuned=tuned) if recipe.train.epochs == "auto" else recipe.train.epochs,
        "batch_size": _batch_size(images, tuned=tuned)
        if recipe.train.batch_size == "auto"
        else recipe.train.batch_size,
    }
    optimiser = _optimiser(recipe, tuned=tuned, batch_size=int(train_section["batch_size"]))
    augment, reasons["augment"] = _augmentations(recipe, preprocessing)
    recipe = changed(recipe, "loss", class_weights=class_weights)
    recipe = changed(recipe, "train", **train_section)
    recipe = changed(recipe, "optimiser", **optimiser)
    return Choices(recipe.model_copy(update={"augment": augment, "task": "classify"}), reasons)


def keep_budget(recipe: Recipe, *, images: int, images_per_second: float, trainings: int) -> Choices:
    """Cut the epochs to what the budget allows; at least one is run.

    Args:
        recipe: with epochs.
        images: of one epoch.
        images_per_second: measured, in training.
        trainings: how many there are; the budget is for all of them.
    """
    epochs = recipe.train.epochs
    assert isinstance(epochs, int)  # noqa: S101
    if recipe.budget == "none":
        return Choices(recipe, {})
    affordable = max(1, int(recipe.budget / trainings * images_per_second / images))
    if affordable >= epochs:
        return Choices(recipe, {})
    reason = f"{epochs} would be usual; the budget allows {affordable} (budget=none, or more time, lifts this)"
    return Choices(changed(recipe, "train", epochs=affordable), {"train.epochs": reason})


def changed(recipe: Recipe, section: str, **values: Any) -> Recipe:
    """A recipe with other values in one section."""
    part: Section = getattr(recipe, section)
    return recipe.model_copy(update={section: part.model_copy(update=values)})


def _plan_splits(recipe: Recipe, dataset: Dataset) -> tuple[Recipe, dict[str, str]]:
    images, given = len(dataset.samples), dataset.given_splits
    reasons = {}
    folds = recipe.folds
    if folds == "auto":
        folds = 0
        if given and "test" not in given:
            folds = 5
            reasons["folds"] = "the data has no test split, so every image is tested once, by a model that never saw it"
        elif not given and images < _FEW_IMAGES and recipe.data.test == "auto":
            folds = 5
            reasons["folds"] = (
                f"{images} images are too few to set some aside for testing: every image is tested once, by a model "
                "that never saw it"
            )
    if folds == 1:
        raise UserError("folds=1: one fold leaves nothing to train on", "Give 0 for a single split, or 2 and more.")
    validation = recipe.data.validation
    if validation == "auto":
        validation = round(min(0.15, _MOST_VALIDATION_IMAGES / images), 4)
    test = recipe.data.test
    if test == "auto":
        test = dataset.proposed_test_share or 0.2
    if not given and not folds:
        reasons["data.test"] = "the data has no splits of its own: they are drawn by the seed, evenly over the classes"
    recipe = changed(recipe, "data", validation=validation, test=test)
    return recipe.model_copy(update={"folds": folds}), reasons


def _network(recipe: Recipe, seen: Survey, images: int) -> tuple[str, Weights | None, str]:
    wanted = recipe.network
    if wanted.name == "auto":
        return choose_network(median_hw=seen.median_hw, channels=seen.channels, train_images=images)
    return wanted.name, find_weights(wanted.name), ""


def _weights(recipe: Recipe, name: str, packaged: Weights | None) -> tuple[str, Weights | None]:
    """What `network.weights` comes to: none, hub, a file, or "auto" for packaged ones that are installed."""
    wanted = recipe.network.weights
    if wanted == "auto":
        return ("auto", packaged) if packaged is not None and packaged.at_hand() else ("none", None)
    if wanted == "hub":
        return "hub", published_weights(name)
    return wanted, None if wanted == "none" else weights_of_model(Path(wanted)) or packaged


def _start(recipe: Recipe, weights: str, images: int) -> tuple[str, str]:
    wanted = recipe.start.name
    if wanted == "auto":
        return _start_of_choice(recipe, weights, images)
    # An unknown name is the first thing to hear about it.
    STARTS[wanted]
    if wanted != "scratch" and weights == "none":
        raise UserError(
            f"start={wanted}: there are no pre-trained weights for network '{recipe.network.name}'",
            'Install some (pip install "convolve[weights]"), name a file (network.weights=FILE), or start=scratch.',
        )
    return wanted, ""


def _start_of_choice(recipe: Recipe, weights: str, images: int) -> tuple[str, str]:
    if weights == "none":
        return "scratch", "there are no pre-trained weights for this network"
    gpu = choose_device(recipe.compute.device) != "cpu"
    if gpu and images >= _ENOUGH_TO_FINETUNE:
        return (
            "finetune",
            f"{images} images are enough to adapt pre-trained weights on a GPU (start=features is quicker)",
        )
    reason = f"{images} images are few" if images < _ENOUGH_TO_FINETUNE else "there is no GPU"
    return "features", (
        f"{reason}: frozen features and a linear classifier take minutes and are hard to beat "
        "(start=finetune then trains everything)"
    )


def _balance(counts: NDArray[np.int64], classes: Sequence[str]) -> tuple[str, str]:
    present = counts[counts > 0]
    ratio = float(present.max() / present.min())
    if ratio <= _UNEVEN:
        return "none", f"the classes are even enough (largest to smallest {ratio:.1f} : 1)"
    rare = [name for name, count in zip(classes, counts, strict=True) if count == present.min()]
    return "sqrt", (
        f"the classes are uneven (largest to smallest {ratio:.1f} : 1; rarest {shown(rare)}): images of rare classes "
        "count more"
    )


def _epochs(images: int, *, tuned: bool) -> int:
    if tuned:
        return int(np.clip(round(24_000 / images), 4, 20))
    return int(np.clip(round(1_200_000 / images), 12, 100))


def _batch_size(images: int, *, tuned: bool) -> int:
    if tuned or images < 2000:
        return 32
    return 64 if images < 10_000 else 128


def _optimiser(recipe: Recipe, *, tuned: bool, batch_size: int) -> dict[str, Any]:
    wanted = recipe.optimiser
    name = wanted.name if wanted.name != "auto" else "adamw" if tuned else "sgd"
    kind = OPTIMISERS[name]
    usual = kind.tuning_lr if tuned else kind.lr * batch_size / 128
    return {
        "name": name,
        "lr": usual if wanted.lr == "auto" else wanted.lr,
        "weight_decay": kind.weight_decay if wanted.weight_decay == "auto" else wanted.weight_decay,
    }


def _augmentations(recipe: Recipe, preprocessing: Preprocessing) -> tuple[dict[str, Any], str]:
    wanted, reason = dict(recipe.augment), "as the recipe says"
    if wanted.get("preset", "auto") == "auto":
        wanted["preset"], why = _preset(recipe, preprocessing)
        # The plan spells a preset out, so that it stays the same when presets change.
        reason = f'preset "{wanted["preset"]}": {why}'
    return {"preset": "none", **with_preset(wanted)}, reason


def _preset(recipe: Recipe, preprocessing: Preprocessing) -> tuple[str, str]:
    if recipe.start.name == "features":
        return "none", "frozen features are computed once, from the images as they are"
    if preprocessing.channels == 1 and max(preprocessing.image_hw) <= 32:
        return "digits", "small grey images are taken for characters: turned and shifted a little, never mirrored"
    return "photos", "photographs: cropped, mirrored and lit differently (augment=none, symmetric, or key by key)"
