"""A resolved recipe for boxes becomes objects."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from convolve.data.augment.augmentation import Augmentation, build_augmentation
from convolve.data.batch import Batches
from convolve.data.box_batches import BoxBatches, WholeBoxBatches
from convolve.data.box_preprocessing import BoxPreprocessing
from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.building import build_detector
from convolve.networks.detection.detector import Detector, Limits
from convolve.networks.detectors import DETECTORS
from convolve.networks.loading import LoadReport, load_backbone
from convolve.networks.score_maps.building import build_network
from convolve.networks.weight_files import read_weight_file
from convolve.progress import Progress
from convolve.randomness import torch_randomness
from convolve.recipe.schema import Recipe
from convolve.registry import checked_options
from convolve.tasks.detect.training_objective import DetectionObjective
from convolve.training.compute import Compute, choose_device
from convolve.training.frozen_lower import FrozenLower
from convolve.training.optimisers import OPTIMISERS
from convolve.training.tuning import Tuning, TuningJob, tuning
from convolve.workflow.around_backbone import optimiser_maker, recipe_tuning, refuse_sections
from convolve.workflow.build import recipe_schedule, recipe_settings, recipe_weights
from convolve.workflow.data import Member
from convolve.workflow.detect.choices import canvas_size, visits_of_images
from convolve.workflow.detect.data import PreparedBoxes

_PIXELS_JUDGED_AT_ONCE = 1_500_000
# In every epoch; all validation images would take a third of the time, and choose no better.
_IMAGES_JUDGED = 48
# Of given proposals: R-CNN takes seconds for those of one image.
_REGIONS_TRAINED, _REGIONS_JUDGED = 2000, 300
_IMAGES_JUDGED_BY_REGION, _REGIONS_JUDGED_BY_REGION = 8, 100


def check_box_names(recipe: Recipe) -> None:
    """Find every part that the recipe names and check its options, before any work starts.

    Raises:
        UserError: an unknown name, an unknown option or a bad value.
    """
    recipe_schedule(recipe)
    refuse_sections(recipe, ("segment", "masks", "loss"), what="boxes")
    if recipe.detect.name != "auto":
        checked_options(DETECTORS[recipe.detect.name].build, recipe.detect.options, where="detect.options")
    if recipe.detect.classifier == "svm" and recipe.detect.name == "onestage":
        raise UserError("detect.classifier=svm: onestage does not look at regions", "Leave it out.")
    if recipe.optimiser.name != "auto":
        build = OPTIMISERS[recipe.optimiser.name].build
        checked_options(build, recipe.optimiser.options, where="optimiser.options")
    if recipe.network.name != "auto":
        checked_options(find_architecture(recipe.network.name).build, recipe.network.options, where="network.options")
    checked_options(tuning, recipe.start.options, where="start.options")
    recipe_mosaic(recipe)
    if recipe.augment.get("preset", "auto") != "auto":
        box_augmentation(recipe, fill=(0.0,))
    choose_device(recipe.compute.device)
    if recipe.network.weights not in ("auto", "none", "hub") and Path(recipe.network.weights).is_file():
        read_weight_file(Path(recipe.network.weights))


def box_augmentation(recipe: Recipe, *, fill: tuple[float, ...]) -> Augmentation | None:
    """The augmentation that the recipe describes; None if it changes nothing.

    Args:
        recipe: presets written out.
        fill: in [0, 1] per channel, what lies outside an image.
    """
    spec = {name: value for name, value in recipe.augment.items() if name not in ("preset", "mosaic")}
    return build_augmentation(spec, fill=[round(255 * value) for value in fill]) if spec else None


def anchor_shapes(recipe: Recipe) -> AnchorShapes:
    """The anchors of a resolved recipe."""
    sizes, ratios = recipe.detect.anchor_sizes, recipe.detect.anchor_ratios
    assert sizes != "auto"  # noqa: S101
    assert ratios != "auto"  # noqa: S101
    return AnchorShapes(sizes=tuple(sizes), ratios=tuple(ratios))


def recipe_limits(recipe: Recipe) -> Limits:
    """Which boxes a detector gives back."""
    detect = recipe.detect
    return Limits(
        nms_iou=detect.nms_iou,
        soft_nms=detect.soft_nms,
        min_probability=detect.min_probability,
        max_boxes=detect.max_boxes,
    )


def box_network(
    recipe: Recipe, *, classes: int, channels: int, image_hw: tuple[int, int], seed: int
) -> tuple[Detector, LoadReport | None]:
    """The detector with its initial weights, pre-trained where the recipe says so, and what was loaded."""
    name, options = recipe.network.name, recipe.network.options
    with torch_randomness(seed, "weights"):
        network = build_network(name, options, outputs=classes, channels=channels, image_hw=image_hw)
        source = recipe_weights(recipe)
        loaded = None if source is None else load_backbone(network, source)
        detector = build_detector(
            recipe.detect.name,
            recipe.detect.options,
            network,
            classes=classes,
            channels=channels,
            image_hw=image_hw,
            anchors=anchor_shapes(recipe),
        )
    detector.limits = recipe_limits(recipe)
    return detector, loaded


def box_job(
    recipe: Recipe,
    prepared: PreparedBoxes,
    preprocessing: BoxPreprocessing,
    member: Member,
    compute: Compute,
    folder: Path,
    progress: Progress,
) -> TuningJob[Detector]:
    """Everything for one training of a run."""
    canvas_hw = canvas_size(recipe, prepared.pack, member.train)
    detector, loaded = box_network(
        recipe,
        classes=len(prepared.dataset.classes),
        channels=preprocessing.channels,
        image_hw=canvas_hw,
        seed=member.seed,
    )
    judged = judged_rows(detector, member.validation)
    how = recipe_tuning(recipe)
    normalise: Callable[[Tensor], Tensor] = preprocessing.normalise
    if enter_above_frozen(detector, how):
        assert detector.pyramid is not None  # noqa: S101
        required = recipe.compute.engine != "auto"
        batch_size = recipe.train.batch_size
        assert batch_size != "auto"  # noqa: S101
        normalise = FrozenLower(
            detector.pyramid,
            preprocessing.normalise,
            compute,
            training_shape=(batch_size, *canvas_hw),
            engine_required=required,
            progress=progress,
        )
    return TuningJob(
        network=detector,
        loaded=loaded,
        objective=DetectionObjective(len(prepared.dataset.classes), most_objects=prepared.most_objects),
        train=_training_batches(recipe, prepared, member, preprocessing, canvas_hw),
        validation=judging_batches(prepared, preprocessing, detector, judged),
        train_images=len(member.train),
        validation_images=len(judged),
        normalise=normalise,
        tuning=how,
        compute=compute,
        settings=recipe_settings(recipe, seed=member.seed),
        make_optimiser=optimiser_maker(recipe),
        make_schedule=lambda: recipe_schedule(recipe),
        folder=folder,
        progress=progress,
    )


def enter_above_frozen(detector: Detector, how: Tuning | None) -> bool:
    """Leave out the levels that are not trained, so that an engine runs them; whether there are any.

    After training, `pyramid.entry` is to be set back to 0.
    """
    pyramid = detector.pyramid
    if pyramid is None or how is None or how.stages == "all":
        return False
    # Where a recipe trains more stages than there are, freezing says so.
    pyramid.entry = max(0, min(len(pyramid.levels) - how.stages, pyramid.highest_entry))
    return pyramid.entry > 0


def judged_rows(detector: Detector, validation: NDArray[np.int64]) -> NDArray[np.int64]:
    """The validation images that are judged after every epoch, evenly spread."""
    most = _IMAGES_JUDGED_BY_REGION if _looks_at_regions_alone(detector) else _IMAGES_JUDGED
    places = np.unique(np.linspace(0, len(validation) - 1, min(most, len(validation))).astype(int))
    rows: NDArray[np.int64] = validation[places]
    return rows


def judging_batches(
    prepared: PreparedBoxes, preprocessing: BoxPreprocessing, detector: Detector, rows: NDArray[np.int64]
) -> Batches:
    """Images as a whole, as they are, with some of the given proposals where the detector takes them."""
    most = _REGIONS_JUDGED_BY_REGION if _looks_at_regions_alone(detector) else _REGIONS_JUDGED
    return WholeBoxBatches(
        prepared.pack,
        rows,
        preprocessing=preprocessing,
        largest=_PIXELS_JUDGED_AT_ONCE,
        regions=prepared.regions(most=most),
    )


def _looks_at_regions_alone(detector: Detector) -> bool:
    """Whether all of the network's work is on regions, as R-CNN's: thousands of times that on one image."""
    return not any(True for _ in detector.dense.parameters())


def _training_batches(
    recipe: Recipe,
    prepared: PreparedBoxes,
    member: Member,
    preprocessing: BoxPreprocessing,
    canvas_hw: tuple[int, int],
) -> Batches:
    batch_size = recipe.train.batch_size
    assert batch_size != "auto"  # noqa: S101
    return BoxBatches(
        prepared.pack,
        member.train,
        canvas_hw=canvas_hw,
        batch_size=batch_size,
        seed=member.seed,
        preprocessing=preprocessing,
        augmentation=box_augmentation(recipe, fill=preprocessing.fill),
        visits=visits_of_images(recipe, prepared.dataset, prepared.pack, member.train),
        mosaic=recipe_mosaic(recipe),
        regions=prepared.regions(most=_REGIONS_TRAINED),
    )


def recipe_mosaic(recipe: Recipe) -> float:
    """The share of the samples that become mosaics of four.

    Raises:
        UserError: it is no share.
    """
    share = recipe.augment.get("mosaic", 0.0)
    if not isinstance(share, bool | int | float) or not 0 <= share <= 1:
        raise UserError(f"augment.mosaic={share!r} is no share", "Give a number from 0 to 1.")
    return float(share)
