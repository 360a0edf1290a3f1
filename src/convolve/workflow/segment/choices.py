"""What a recipe for masks leaves to the program: each choice one rule, with the sentence that tells the user why."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.data.augment.presets import with_preset
from convolve.data.dataset import Dataset
from convolve.data.native_pack import NativePack
from convolve.data.survey import Survey
from convolve.networks.catalogue import find_architecture
from convolve.networks.pretrained import Weights
from convolve.networks.score_maps import SCORE_MAPS
from convolve.recipe.schema import Recipe
from convolve.tasks.segment.class_frequencies import choose_class_weights
from convolve.workflow.around_backbone import choose_network, choose_split, chosen_optimiser
from convolve.workflow.plan import Choices, changed

_RUNG = "unet"
_ONLY_CLASSES = {
    "per_class": "Leave it out.",
    "image_size": "Images keep their sizes; segment.scale resizes them, and segment.crop is what is trained on.",
    "fit": "Leave it out: images keep their sizes.",
}
_PATCH_NETWORK = "patch-net"
# Whole images are the best crops, until one step takes seconds.
_LARGEST_CROP, _SMALLEST_CROP = 512, 32
_PATCH, _SMALL_PATCH = 65, 33
# Of a batch: enough for the statistics of batch norm, and few enough for many steps an epoch.
_PIXELS_A_BATCH = 720_000
_STEPS_AN_EPOCH = 8
_PATCHES_A_BATCH, _PATCHES_AN_EPOCH, _EPOCHS_OF_PATCHES = 128, 20_000, 10
_MOST_CROPS = 16
_CROPS_A_TRAINING = 24_000
_RARE = 0.01


def choose_map_split(recipe: Recipe, dataset: Dataset) -> tuple[Recipe, dict[str, str]]:
    """Choose the shares of the splits; errors as for `choose_split`."""
    return choose_split(recipe, dataset, what="masks", refused=_ONLY_CLASSES)


def choose_parts(recipe: Recipe, dataset: Dataset, pack: NativePack) -> tuple[Choices, Weights | None]:
    """Choose the rung, the network, its weights and the start.

    Raises:
        UserError: a part is unknown, or has no meaning for masks.
    """
    reasons: dict[str, str] = {}
    rung = recipe.segment.name
    if rung == "auto":
        rung = _RUNG
        reasons["segment.name"] = "skips from all resolutions (`convolve ladder segment` compares it with the others)"
    patches = SCORE_MAPS[rung].trained_on == "patches"
    if patches and recipe.network.name == "auto":
        reasons["network.name"] = "no padding inside, so that its dense form gives exactly what it gives patch by patch"
        recipe = changed(recipe, "network", name=_PATCH_NETWORK)
    sizes = pack.hw[pack.usable].astype(np.int32)
    seen = Survey(sizes, 1 if pack.channels == 1 else 3, (0,) * min(pack.channels, 3))
    choices, weights = choose_network(recipe, seen, len(pack.usable), what="masks")
    recipe = changed(choices.recipe, "segment", name=rung).model_copy(update={"task": "segment"})
    return Choices(recipe, reasons | choices.reasons), weights


def choose_training(recipe: Recipe, dataset: Dataset, pack: NativePack, train: NDArray[np.int64]) -> Choices:
    """Choose what follows from the size, number and balance of the training images."""
    pixels = pack.class_pixels[train]
    recipe, reasons = _choose_crops(recipe, dataset, pack, train)
    loss = "softmax" if recipe.loss.name == "auto" else recipe.loss.name
    class_weights, reason = _class_weights(recipe, dataset, pixels, loss)
    if reason:
        reasons["loss.class_weights"] = reason
    recipe = changed(recipe, "loss", name=loss, class_weights=class_weights)
    recipe = changed(recipe, "optimiser", **chosen_optimiser(recipe))
    augment, reasons["augment"] = _augmentations(recipe)
    return Choices(recipe.model_copy(update={"augment": augment}), reasons)


def _choose_crops(
    recipe: Recipe, dataset: Dataset, pack: NativePack, train: NDArray[np.int64]
) -> tuple[Recipe, dict[str, str]]:
    """Choose the crops' or patches' side, where they are cut, how many make a batch and an epoch, and the epochs."""
    reasons: dict[str, str] = {}
    patches = SCORE_MAPS[recipe.segment.name].trained_on == "patches"
    height, width = np.median(pack.hw[train] * recipe.segment.scale, axis=0)
    crop = recipe.segment.crop
    if crop == "auto" and patches:
        crop = _PATCH if min(height, width) >= 2 * _PATCH else _SMALL_PATCH
        reasons["segment.crop"] = "side of the patches"
    elif crop == "auto":
        smallest = max(_SMALLEST_CROP, find_architecture(recipe.network.name).smallest_side)
        crop = max(smallest, int(min(_LARGEST_CROP, max(height, width))))
        reasons["segment.crop"] = f"images are {height:.0f} x {width:.0f} pixels (median)"
    area = min(crop, height) * min(crop, width)
    sampling, reason = _sampling(
        recipe, dataset, pack.class_pixels[train], whole=not patches and crop >= max(height, width)
    )
    if reason:
        reasons["segment.sampling"] = reason
    crops, batch_size, epochs = recipe.segment.crops, recipe.train.batch_size, recipe.train.epochs
    if crops == "auto":
        usual = _PATCHES_AN_EPOCH / len(train) if patches else height * width / area
        crops = int(np.clip(round(usual), 1, _PATCHES_AN_EPOCH if patches else _MOST_CROPS))
    if batch_size == "auto":
        batch_size = _PATCHES_A_BATCH if patches else _batch_of_crops(area, len(train) * crops)
    if epochs == "auto":
        usual_epochs = int(np.clip(round(_CROPS_A_TRAINING / (len(train) * crops)), 8, 120))
        epochs = _EPOCHS_OF_PATCHES if patches else usual_epochs
    recipe = changed(recipe, "segment", crop=crop, sampling=sampling, crops=crops)
    return changed(recipe, "train", epochs=epochs, batch_size=batch_size), reasons


def _batch_of_crops(area: float, crops: int) -> int:
    """Crops of so many pixels that make a batch, of so many an epoch: few images need small batches for many steps."""
    largest = max(2, min(16, crops // _STEPS_AN_EPOCH))
    return int(np.clip(round(_PIXELS_A_BATCH / area), 2, largest))


def _sampling(recipe: Recipe, dataset: Dataset, pixels: NDArray[np.int64], *, whole: bool) -> tuple[str, str]:
    if recipe.segment.sampling != "auto":
        return recipe.segment.sampling, ""
    if SCORE_MAPS[recipe.segment.name].trained_on == "patches":
        return "classes", "as many patches of each class"
    shares = pixels.sum(axis=0) / max(1, pixels.sum())
    rare = [name for name, share in zip(dataset.classes, shares, strict=True) if 0 < share < _RARE]
    if rare and not whole:
        return "classes", f"crops are cut around rare classes as often as around others ({', '.join(rare)}: under 1 %)"
    return "uniform", ""


def _class_weights(recipe: Recipe, dataset: Dataset, pixels: NDArray[np.int64], loss: str) -> tuple[str, str]:
    patches = SCORE_MAPS[recipe.segment.name].trained_on == "patches"
    if recipe.loss.class_weights == "auto" and patches and recipe.segment.sampling == "classes":
        return "none", "as many patches are drawn of each class"
    return choose_class_weights(recipe.loss.class_weights, pixels, dataset.classes, loss=loss)


def _augmentations(recipe: Recipe) -> tuple[dict[str, Any], str]:
    wanted, reason = dict(recipe.augment), "as the recipe says"
    if wanted.get("preset", "auto") == "auto":
        wanted["preset"] = "scenes"
        reason = (
            'preset "scenes": mirrored, sized and lit differently (augment=symmetric where there is no up and no left)'
        )
    return {"preset": "none", **with_preset(wanted)}, reason
