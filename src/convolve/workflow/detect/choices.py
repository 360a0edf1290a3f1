"""What a recipe for boxes leaves to the program: each choice one rule, with the sentence that tells the user why."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convolve.data.augment.presets import with_preset
from convolve.data.boxes.anchor_fit import propose_anchors
from convolve.data.boxes.statistics import choose_side
from convolve.data.dataset import Boxes, Dataset, labels_of
from convolve.data.scaled_pack import ScaledPack
from convolve.data.survey import Survey
from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.networks.detectors import DETECTORS
from convolve.networks.feature_pyramid import feature_pyramid
from convolve.networks.pretrained import Weights
from convolve.networks.score_maps.building import build_network
from convolve.randomness import torch_randomness
from convolve.recipe.schema import Recipe
from convolve.workflow.around_backbone import choose_network, choose_split, chosen_optimiser
from convolve.workflow.plan import Choices, changed

_RUNG = "faster"
_ONLY_CLASSES = {
    "per_class": "Leave it out.",
    "image_size": "detect.side is the longest side of an image at the network's input.",
    "fit": "Leave it out: images keep their shapes.",
    "bands": "Leave it out: images are grey or RGB.",
}
_LARGEST_WHOLE, _CROP = 1024, 640
_MULTIPLE = 32
# Of a batch: enough objects for a steady gradient, and few enough images for many steps an epoch.
_PIXELS_A_BATCH = 1_300_000
_STEPS_AN_EPOCH = 8
_IMAGES_A_TRAINING = 10_000
_MOST_CROPS = 16
# Strides of the maps whose layers stay as they came, pixels.
_FROZEN_STRIDE = 4


def choose_box_split(recipe: Recipe, dataset: Dataset) -> tuple[Recipe, dict[str, str]]:
    """Choose the shares of the splits; errors as for `choose_split`."""
    return choose_split(recipe, dataset, what="boxes", refused=_ONLY_CLASSES)


def choose_input_side(recipe: Recipe, dataset: Dataset) -> Choices:
    """Choose at which size the network sees the images, by the sizes of their boxes alone."""
    if recipe.detect.side != "auto":
        return Choices(recipe, {})
    side, reason = choose_side(dataset.samples)
    return Choices(changed(recipe, "detect", side=side), {"detect.side": reason})


def choose_parts(recipe: Recipe, dataset: Dataset, pack: ScaledPack) -> tuple[Choices, Weights | None]:
    """Choose the rung, the network, its weights and the start.

    Raises:
        UserError: a part is unknown, or has no meaning for boxes.
    """
    reasons: dict[str, str] = {}
    rung = recipe.detect.name
    if rung == "auto":
        rung = _RUNG
        reasons["detect.name"] = "proposals by the network itself (`convolve ladder detect` compares the ways)"
    # An unknown name is the first thing to hear about it.
    DETECTORS[rung]
    sizes = np.array([_hw(dataset, row) for row in pack.usable], np.int32)
    seen = Survey(sizes, 1 if pack.channels == 1 else 3, (0,) * pack.channels)
    choices, weights = choose_network(recipe, seen, len(pack.usable), what="boxes")
    recipe = changed(choices.recipe, "detect", name=rung).model_copy(update={"task": "detect"})
    return Choices(recipe, reasons | choices.reasons), weights


def choose_training(recipe: Recipe, dataset: Dataset, pack: ScaledPack, train: NDArray[np.int64]) -> Choices:
    """Choose what follows from the size and number of the training images and of their objects."""
    reasons: dict[str, str] = {}
    recipe = _choose_crop(recipe, pack, train, reasons)
    recipe = _choose_anchors(recipe, dataset, train, reasons)
    canvas = np.minimum(pack.hw[train].max(axis=0), recipe.detect.crop)
    shown = int(visits_of_images(recipe, dataset, pack, train).sum())
    batch_size, epochs = recipe.train.batch_size, recipe.train.epochs
    if batch_size == "auto":
        largest = max(2, shown // _STEPS_AN_EPOCH)
        batch_size = int(np.clip(_PIXELS_A_BATCH // int(canvas.prod()), 1, min(largest, 32)))
    if epochs == "auto":
        epochs = int(np.clip(round(_IMAGES_A_TRAINING / shown), 4, 100))
    recipe = changed(recipe, "train", epochs=epochs, batch_size=batch_size)
    recipe = changed(recipe, "optimiser", **chosen_optimiser(recipe))
    if recipe.start.name == "finetune":
        # Batches are small: their statistics would be worse than those that the weights came with.
        usual = {"stages": _trained_stages(recipe, pack), "freeze_norms": True}
        reasons["start.options"] = "the finest maps know edges and colours already, and cost most to train"
        recipe = changed(recipe, "start", options=usual | dict(recipe.start.options))
    augment, reasons["augment"] = _augmentations(recipe)
    return Choices(recipe.model_copy(update={"augment": augment}), reasons)


def visits_of_images(recipe: Recipe, dataset: Dataset, pack: ScaledPack, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(M,) how often an epoch shows each image: as many crops as cover it, more of images with rare classes.

    Repeat factor sampling (Gupta, Dollar and Girshick, "LVIS", CVPR 2019, appendix B.2): a class that a share f of the
    images show, less than t, is shown sqrt(t / f) times as often, and an image as its rarest class; rounded here.

    Args:
        recipe: whose `detect.rare` is t.
        dataset: the images' objects.
        pack: their sizes.
        rows: (M,) that are trained on.
    """
    labels = [labels_of(dataset.samples[row]) for row in rows.tolist()]
    images = np.bincount([label for some in labels for label in some], minlength=len(dataset.classes))
    factors = np.maximum(1.0, np.sqrt(recipe.detect.rare * len(rows) / np.maximum(images, 1)))
    repeats = np.array([max([1.0, *(factors[label] for label in some)]) for some in labels])
    visits: NDArray[np.int64] = np.rint(repeats).astype(np.int64) * _crops_of_image(recipe, pack, rows)
    return visits


def _crops_of_image(recipe: Recipe, pack: ScaledPack, rows: NDArray[np.int64]) -> int:
    """How many crops of an image make an epoch: about what it takes to cover it."""
    crop = recipe.detect.crop
    assert crop != "auto"  # noqa: S101
    height, width = np.median(pack.hw[rows], axis=0)
    return int(np.clip(round(max(1.0, height / crop) * max(1.0, width / crop)), 1, _MOST_CROPS))


def canvas_size(recipe: Recipe, pack: ScaledPack, rows: NDArray[np.int64]) -> tuple[int, int]:
    """Height and width of what the network is trained on: the crop, or less where no image is as large."""
    crop = recipe.detect.crop
    assert crop != "auto"  # noqa: S101
    smallest = find_architecture(recipe.network.name).smallest_side
    height, width = (max(smallest, min(crop, int(length))) for length in pack.hw[rows].max(axis=0))
    return -(-height // _MULTIPLE) * _MULTIPLE, -(-width // _MULTIPLE) * _MULTIPLE


def _choose_crop(recipe: Recipe, pack: ScaledPack, train: NDArray[np.int64], reasons: dict[str, str]) -> Recipe:
    if recipe.detect.crop != "auto":
        return recipe
    longest = int(pack.hw[train].max())
    crop = longest if longest <= _LARGEST_WHOLE else _CROP
    if crop < longest:
        reasons["detect.crop"] = f"images of {longest} pixels a side are trained on in parts, and predicted by tiles"
    return changed(recipe, "detect", crop=max(_MULTIPLE, crop))


def _choose_anchors(recipe: Recipe, dataset: Dataset, train: NDArray[np.int64], reasons: dict[str, str]) -> Recipe:
    sizes, ratios, side = recipe.detect.anchor_sizes, recipe.detect.anchor_ratios, recipe.detect.side
    assert side != "auto"  # noqa: S101
    if sizes != "auto" and ratios != "auto":
        return recipe
    proposed_sizes, proposed_ratios, reason = propose_anchors([dataset.samples[row] for row in train], side)
    reasons["detect.anchor_sizes"] = reason
    return changed(
        recipe,
        "detect",
        anchor_sizes=list(proposed_sizes) if sizes == "auto" else sizes,
        anchor_ratios=list(proposed_ratios) if ratios == "auto" else ratios,
    )


def _trained_stages(recipe: Recipe, pack: ScaledPack) -> int | Literal["all"]:
    """How many of a backbone's stages are trained: those of coarser maps."""
    options, channels = dict(recipe.network.options), 1 if pack.channels == 1 else 3
    image_hw = (_CROP, _CROP)
    with torch_randomness("shape of the network"):
        network = build_network(recipe.network.name, options, outputs=1, channels=channels, image_hw=image_hw)
        try:
            pyramid = feature_pyramid(network.backbone, channels=channels, image_hw=image_hw)
        except UserError:
            # It has no stages. R-CNN does not need any, and other rungs say so when they are built.
            return "all"
    return sum(stride > _FROZEN_STRIDE for stride in pyramid.strides) or "all"


def _augmentations(recipe: Recipe) -> tuple[dict[str, Any], str]:
    wanted, reason = dict(recipe.augment), "as the recipe says"
    if wanted.get("preset", "auto") == "auto":
        wanted["preset"] = "objects"
        reason = (
            'preset "objects": mirrored, sized and lit differently (augment=objects_symmetric where there is no up and '
            "no left)"
        )
    return {"preset": "none", **with_preset(wanted)}, reason


def _hw(dataset: Dataset, row: int) -> tuple[int, int]:
    target = dataset.samples[row].target
    assert isinstance(target, Boxes)  # noqa: S101
    return target.hw
