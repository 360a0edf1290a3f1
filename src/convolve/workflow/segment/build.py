"""A resolved recipe for masks becomes objects."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convolve.data.augment.augmentation import Augmentation, build_augmentation
from convolve.data.batch import Batches
from convolve.data.map_batches import CropBatches, PatchBatches, WholeBatches
from convolve.data.native_pack import NativePack
from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.networks.loading import LoadReport, load_backbone
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.score_maps import SCORE_MAPS
from convolve.networks.score_maps.building import build_network, build_pixel_network
from convolve.networks.weight_files import read_weight_file
from convolve.progress import Progress
from convolve.randomness import torch_randomness
from convolve.recipe.schema import Recipe
from convolve.registry import checked_options
from convolve.tasks.segment.centres import Centres
from convolve.tasks.segment.class_frequencies import class_weights
from convolve.tasks.segment.pixels import Pixels
from convolve.training.compute import Compute, choose_device
from convolve.training.optimisers import OPTIMISERS
from convolve.training.task import Objective
from convolve.training.tuning import TuningJob, tuning
from convolve.workflow.around_backbone import optimiser_maker, recipe_tuning, refuse_sections
from convolve.workflow.build import recipe_schedule, recipe_settings, recipe_weights
from convolve.workflow.data import Member
from convolve.workflow.segment.data import PreparedMasks

# Of larger images some crops are judged: a whole one would take gigabytes.
_LARGEST_WHOLE, _CROPS_JUDGED = 8_000_000, 4
_PIXELS_JUDGED_AT_ONCE = 1_500_000
PATCHES_JUDGED = 4096
"""Of the validation images, in every epoch of a training on patches."""


def check_map_names(recipe: Recipe) -> None:
    """Find every part that the recipe names and check its options, before any work starts.

    Raises:
        UserError: an unknown name, an unknown option or a bad value.
    """
    recipe_schedule(recipe)
    refuse_sections(recipe, ("detect",), what="masks")
    _refuse_keys_of_classes(recipe)
    if recipe.segment.name != "auto":
        checked_options(SCORE_MAPS[recipe.segment.name].build, recipe.segment.options, where="segment.options")
    if recipe.optimiser.name != "auto":
        build = OPTIMISERS[recipe.optimiser.name].build
        checked_options(build, recipe.optimiser.options, where="optimiser.options")
    if recipe.network.name != "auto":
        checked_options(find_architecture(recipe.network.name).build, recipe.network.options, where="network.options")
    checked_options(tuning, recipe.start.options, where="start.options")
    if recipe.augment.get("preset", "auto") != "auto":
        map_augmentation(recipe, fill=(0.0,))
    choose_device(recipe.compute.device)
    loss = "softmax" if recipe.loss.name == "auto" else recipe.loss.name
    Pixels((), loss=loss, label_smoothing=recipe.loss.label_smoothing)
    if recipe.network.weights not in ("auto", "none", "hub") and Path(recipe.network.weights).is_file():
        read_weight_file(Path(recipe.network.weights))


def _refuse_keys_of_classes(recipe: Recipe) -> None:
    if recipe.data.per_class:
        raise UserError("data.per_class: pixels have classes here, not images", "Leave it out.")
    if recipe.data.image_size != "auto" or recipe.data.fit != "auto":
        key = "image_size" if recipe.data.image_size != "auto" else "fit"
        raise UserError(
            f"data.{key}: images with masks keep their own sizes and shapes",
            "Leave it out; segment.scale resizes them, and segment.crop is the side of what the network trains on.",
        )


def map_augmentation(recipe: Recipe, *, fill: Sequence[float]) -> Augmentation | None:
    """The augmentation that the recipe describes; None if it changes nothing.

    Args:
        recipe: presets written out.
        fill: in [0, 1] per channel, what lies outside an image.
    """
    spec = {name: value for name, value in recipe.augment.items() if name != "preset"}
    return build_augmentation(spec, fill=[round(255 * value) for value in fill]) if spec else None


def crop_size(recipe: Recipe, pack: NativePack, rows: NDArray[np.int64]) -> tuple[int, int]:
    """Height and width of the training crops: the recipe's side, or less where no image of these is as large."""
    crop = recipe.segment.crop
    assert crop != "auto"  # noqa: S101
    if SCORE_MAPS[recipe.segment.name].trained_on == "patches":
        return crop, crop
    smallest = find_architecture(recipe.network.name).smallest_side
    largest_hw = np.ceil(pack.hw[rows].max(axis=0) * recipe.segment.scale).astype(int)
    # What an image lacks of the network's smallest side is fill without a class.
    height, width = (max(smallest, min(crop, int(length))) for length in largest_hw)
    return height, width


def map_network(
    recipe: Recipe, *, outputs: int, preprocessing: PixelPreprocessing, image_hw: tuple[int, int], seed: int
) -> tuple[PixelNetwork, LoadReport | None]:
    """The network with its initial weights, pre-trained where the recipe says so, and what was loaded."""
    channels = preprocessing.channels
    with torch_randomness(seed, "weights"):
        network = build_network(
            recipe.network.name, recipe.network.options, outputs=outputs, channels=channels, image_hw=image_hw
        )
        source = recipe_weights(recipe)
        loaded = None if source is None else load_backbone(network, source)
        pixel_network = build_pixel_network(
            recipe.segment.name,
            recipe.segment.options,
            network,
            outputs=outputs,
            channels=channels,
            image_hw=image_hw,
        )
    return pixel_network, loaded


def map_objective(recipe: Recipe, prepared: PreparedMasks, train: NDArray[np.int64]) -> Objective:
    """What is minimised: on patches the centre pixel's class alone."""
    pixels = Pixels(
        prepared.dataset.classes,
        loss=recipe.loss.name,
        class_weights=class_weights(recipe.loss.class_weights, prepared.pack.class_pixels[train]),
        label_smoothing=recipe.loss.label_smoothing,
    )
    return Centres(pixels) if SCORE_MAPS[recipe.segment.name].trained_on == "patches" else pixels


def map_job(
    recipe: Recipe,
    prepared: PreparedMasks,
    preprocessing: PixelPreprocessing,
    member: Member,
    compute: Compute,
    folder: Path,
    progress: Progress,
) -> TuningJob[PixelNetwork]:
    """Everything for one training of a run."""
    crop_hw = crop_size(recipe, prepared.pack, member.train)
    network, loaded = map_network(
        recipe,
        outputs=len(prepared.dataset.classes),
        preprocessing=preprocessing,
        image_hw=crop_hw,
        seed=member.seed,
    )
    return TuningJob(
        network=network,
        loaded=loaded,
        objective=map_objective(recipe, prepared, member.train),
        train=_training_batches(recipe, prepared.pack, member, preprocessing, crop_hw),
        validation=_validation_batches(recipe, prepared.pack, member, preprocessing, crop_hw, network),
        train_images=len(member.train),
        validation_images=len(member.validation),
        normalise=preprocessing.normalise,
        tuning=recipe_tuning(recipe),
        compute=compute,
        settings=recipe_settings(recipe, seed=member.seed),
        make_optimiser=optimiser_maker(recipe),
        make_schedule=lambda: recipe_schedule(recipe),
        folder=folder,
        progress=progress,
    )


def _training_batches(
    recipe: Recipe, pack: NativePack, member: Member, preprocessing: PixelPreprocessing, crop_hw: tuple[int, int]
) -> Batches:
    crops, batch_size = recipe.segment.crops, recipe.train.batch_size
    assert crops != "auto"  # noqa: S101
    assert batch_size != "auto"  # noqa: S101
    augmentation = map_augmentation(recipe, fill=preprocessing.fill)
    if SCORE_MAPS[recipe.segment.name].trained_on == "patches":
        return PatchBatches(
            pack,
            member.train,
            side=crop_hw[0],
            batch_size=batch_size,
            patches=crops * len(member.train),
            seed=member.seed,
            preprocessing=preprocessing,
            augmentation=augmentation,
            balanced=recipe.segment.sampling == "classes",
        )
    return CropBatches(
        pack,
        member.train,
        crop_hw=crop_hw,
        batch_size=batch_size,
        seed=member.seed,
        preprocessing=preprocessing,
        augmentation=augmentation,
        sampling="classes" if recipe.segment.sampling == "classes" else "uniform",
        crops=crops,
    )


def _validation_batches(
    recipe: Recipe,
    pack: NativePack,
    member: Member,
    preprocessing: PixelPreprocessing,
    crop_hw: tuple[int, int],
    network: PixelNetwork,
) -> Batches:
    """The same in every epoch."""
    batch_size = recipe.train.batch_size
    assert batch_size != "auto"  # noqa: S101
    if SCORE_MAPS[recipe.segment.name].trained_on == "patches":
        return PatchBatches(
            pack,
            member.validation,
            side=crop_hw[0],
            batch_size=batch_size,
            patches=PATCHES_JUDGED,
            seed=0,
            preprocessing=preprocessing,
            augmentation=None,
            balanced=True,
        )
    return judging_batches(
        pack,
        member.validation,
        preprocessing,
        crop_hw=crop_hw,
        at_once=_PIXELS_JUDGED_AT_ONCE,
        smallest=network.smallest_side,
    )


def judging_batches(
    pack: NativePack,
    rows: NDArray[np.int64],
    preprocessing: PixelPreprocessing,
    *,
    crop_hw: tuple[int, int],
    at_once: int,
    smallest: int,
) -> Batches:
    """Images as a whole or, if one of them is too large for that, the same few crops of each in every epoch.

    Args:
        pack: images and masks.
        rows: (M,) of the pack, at least one.
        preprocessing: values and scale.
        crop_hw: of the crops.
        at_once: pixels in a batch; an image or a crop that has more stands alone.
        smallest: side that the network takes, pixels.
    """
    largest = float(pack.hw[rows].prod(axis=1).max()) * preprocessing.scale**2
    if largest <= _LARGEST_WHOLE:
        return WholeBatches(pack, rows, preprocessing=preprocessing, largest=at_once, smallest=smallest)
    return CropBatches(
        pack,
        rows,
        crop_hw=crop_hw,
        batch_size=max(1, at_once // (crop_hw[0] * crop_hw[1])),
        seed=0,
        preprocessing=preprocessing,
        crops=_CROPS_JUDGED,
    )
