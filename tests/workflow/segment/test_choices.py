"""Each choice that a recipe for masks leaves open, and each objective that comes of it."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from convolve.data.content import content_hashes
from convolve.data.dataset import IGNORE, Dataset, Mask, MaskCoding, Sample
from convolve.data.native_pack import NativePack, pack_native
from convolve.errors import UserError
from convolve.recipe.file import make_recipe
from convolve.recipe.schema import Recipe
from convolve.recipe.values import override
from convolve.tasks.segment.class_frequencies import class_weights
from convolve.tasks.segment.losses import PIXEL_LOSSES
from convolve.workflow.segment.build import crop_size, map_augmentation, map_objective
from convolve.workflow.segment.choices import choose_map_split, choose_parts, choose_training
from convolve.workflow.segment.data import PreparedMasks

CODING = MaskCoding("index", ((0,), (1,), (2,)), ignored=(IGNORE,))
CLASSES = ("ground", "grass", "tree")


def recipe(*settings: str) -> Recipe:
    return make_recipe(override({"data": {"path": "x"}}, ["network.weights=none", *settings]))


def data(hw: tuple[int, int] = (40, 60), shares: tuple[float, float] = (0.3, 0.3), images: int = 4):
    """Images of which the classes 1 and 2 have these shares of the pixels, and their pack."""
    samples = []
    for row in range(images):
        mask = np.zeros(hw[0] * hw[1], np.uint8)
        first, second = (max(1, round(share * mask.size)) if share else 0 for share in shares)
        mask[:first], mask[first : first + second] = 1, 2
        samples.append(Sample(f"{row}.png", np.full((*hw, 3), row, np.uint8), Mask(mask.reshape(hw))))
    dataset = Dataset("yard", "by hand", CLASSES, tuple(samples), coding=CODING)
    return dataset, pack_native(dataset, hashes=content_hashes(dataset))


def trained(wanted: Recipe, dataset: Dataset, pack: NativePack, *, rows: int = 4):
    """All choices, for a training on the first rows."""
    parts, _ = choose_parts(wanted, dataset, pack)
    rest = choose_training(parts.recipe, dataset, pack, np.arange(rows) % len(pack.hw))
    return rest.recipe, parts.reasons | rest.reasons


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


def test_there_are_no_folds_unless_asked_for():
    dataset, _ = data()
    assert choose_map_split(recipe(), dataset)[0].folds == 0
    assert choose_map_split(recipe("folds=3"), dataset)[0].folds == 3


def test_the_rung_is_unet_with_a_sentence_and_what_is_named_stays():
    chosen, reasons = trained(recipe("network=residual"), *data())
    assert chosen.segment.name == "unet"
    assert "convolve ladder segment" in reasons["segment.name"]
    chosen, reasons = trained(recipe("network=residual", "segment=fcn-8s"), *data())
    assert chosen.segment.name == "fcn-8s"
    assert "segment.name" not in reasons
    assert (chosen.task, chosen.start.name) == ("segment", "scratch")


@pytest.mark.parametrize("rung", ["patch", "dense"])
def test_patches_get_the_network_without_padding(rung):
    chosen, reasons = trained(recipe(f"segment={rung}"), *data((80, 90)))
    assert chosen.network.name == "patch-net"
    assert "no padding" in reasons["network.name"]
    assert trained(recipe("segment=patch", "network=residual"), *data())[0].network.name == "residual"


@pytest.mark.parametrize(("hw", "side"), [((129, 200), 33), ((130, 200), 65), ((300, 300), 65)])
def test_the_side_of_patches_goes_by_the_shorter_side_of_the_images(hw, side):
    chosen, _ = trained(recipe("segment=patch"), *data(hw))
    assert chosen.segment.crop == side
    assert chosen.segment.sampling == "classes"
    # 20,000 patches an epoch out of 4 images.
    assert (chosen.segment.crops, chosen.train.batch_size, chosen.train.epochs) == (5000, 128, 10)


@pytest.mark.parametrize(
    ("hw", "settings", "crop", "crops", "batch_size"),
    [
        # Whole images: 720,000 pixels are 16 and more of them.
        ((40, 60), (), 60, 1, 16),
        # 300 x 400 pixels: 6 of them are 720,000.
        ((300, 400), (), 400, 1, 6),
        # Two crops of 512 cover an image of 600 x 1000; three of them (600 x 512 / 512 x 512) are 720,000 pixels.
        ((600, 1000), (), 512, 2, 3),
        ((600, 1000), ("segment.scale=0.5",), 500, 1, 5),
        ((600, 1000), ("segment.crop=100", "segment.crops=7", "batch_size=5"), 100, 7, 5),
        ((600, 1000), ("segment.crop=100",), 100, 16, 16),
    ],
)
def test_crops_are_whole_images_up_to_512_a_side(hw, settings, crop, crops, batch_size):
    dataset, pack = data(hw)
    parts, _ = choose_parts(recipe("network=residual", *settings), dataset, pack)
    # Many images, so that their number limits nothing.
    chosen = choose_training(parts.recipe, dataset, pack, np.arange(400) % 4).recipe
    assert (chosen.segment.crop, chosen.segment.crops, chosen.train.batch_size) == (crop, crops, batch_size)
    scaled = [round(side * chosen.segment.scale) for side in hw]
    assert crop_size(chosen, pack, np.arange(4)) == (min(crop, scaled[0]), min(crop, scaled[1]))


@pytest.mark.parametrize(("images", "batch_size"), [(4, 2), (27, 3), (64, 8), (128, 16), (1000, 16)])
def test_few_images_come_in_small_batches_so_that_an_epoch_has_eight_steps(images, batch_size):
    dataset, pack = data((40, 60))
    parts, _ = choose_parts(recipe("network=residual"), dataset, pack)
    assert choose_training(parts.recipe, dataset, pack, np.arange(images) % 4).recipe.train.batch_size == batch_size


@pytest.mark.parametrize(("images", "epochs"), [(4, 120), (200, 120), (367, 65), (6000, 8)])
def test_epochs_fall_with_the_number_of_crops(images, epochs):
    dataset, pack = data()
    parts, _ = choose_parts(recipe("network=residual"), dataset, pack)
    rows = np.arange(images) % 4
    assert choose_training(parts.recipe, dataset, pack, rows).recipe.train.epochs == epochs
    parts, _ = choose_parts(recipe("network=residual", "epochs=3"), dataset, pack)
    assert choose_training(parts.recipe, dataset, pack, rows).recipe.train.epochs == 3


@pytest.mark.parametrize(
    ("shares", "settings", "sampling"),
    [
        ((0.3, 0.005), ("segment.crop=32",), "classes"),
        ((0.3, 0.02), ("segment.crop=32",), "uniform"),
        # A class that never occurs cannot be cut around.
        ((0.3, 0.0), ("segment.crop=32",), "uniform"),
        # Whole images are the same wherever they are cut.
        ((0.3, 0.005), (), "uniform"),
        ((0.3, 0.3), ("segment.crop=32", "segment.sampling=classes"), "classes"),
    ],
)
def test_crops_are_cut_around_rare_classes(shares, settings, sampling):
    chosen, reasons = trained(recipe("network=residual", *settings), *data(shares=shares))
    assert chosen.segment.sampling == sampling
    asked = any("sampling" in setting for setting in settings)
    assert ("tree: under 1 %" in reasons.get("segment.sampling", "")) == (sampling == "classes" and not asked)


@pytest.mark.parametrize(
    ("shares", "settings", "weights"),
    [
        # 40 : 30, and 70 : 4.
        ((0.3, 0.3), (), "none"),
        ((0.26, 0.04), (), "sqrt"),
        ((0.26, 0.04), ("loss.name=dice",), "none"),
        ((0.3, 0.3), ("loss.class_weights=median-frequency",), "median-frequency"),
    ],
)
def test_classes_are_weighed_where_they_are_uneven(shares, settings, weights):
    chosen, reasons = trained(recipe("network=residual", *settings), *data(shares=shares))
    assert chosen.loss.class_weights == weights
    assert ("loss.class_weights" in reasons) == ("loss.class_weights" not in "".join(settings))


def test_the_optimiser_and_its_rate():
    chosen, _ = trained(recipe("network=residual"), *data())
    assert (chosen.optimiser.name, chosen.optimiser.lr) == ("adamw", 1e-3)
    chosen, _ = trained(recipe("network=residual", "lr=0.5", "weight_decay=0"), *data())
    assert (chosen.optimiser.lr, chosen.optimiser.weight_decay) == (0.5, 0)
    chosen, _ = trained(recipe("network=residual", "optimiser=sgd"), *data())
    assert isinstance(chosen.optimiser.lr, float)


def test_augmentation_is_that_of_scenes_unless_something_is_said():
    chosen, reasons = trained(recipe("network=residual"), *data())
    assert set(chosen.augment) == {"preset", "flip_horizontal", "scale", "brightness", "contrast", "saturation"}
    assert "symmetric" in reasons["augment"]
    chosen, _ = trained(recipe("network=residual", "augment=none"), *data())
    assert map_augmentation(chosen, fill=(0.5,) * 3) is None


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("finetune", "no pre-trained weights for network 'residual'"),
        ("features", "no pre-trained weights for network 'residual'"),
        ("unsupervised", "a step of its own\n.*convolve pretrain DATA"),
        ("fintune", "Known for masks: scratch, finetune, features"),
    ],
)
def test_starts_that_cannot_be_are_refused_with_what_can(start, words):
    with pytest.raises(UserError, match=words):
        choose_parts(recipe("network=residual", f"start={start}"), *data())


def prepared(dataset: Dataset, pack: NativePack) -> PreparedMasks:
    rows = len(dataset.samples)
    return PreparedMasks(
        dataset=dataset,
        hashes=tuple(content_hashes(dataset)),
        broken={},
        usable=np.ones(rows, bool),
        splits=("train",) * rows,
        pack=pack,
    )


LOSSES = [name for name in PIXEL_LOSSES if name != "auto"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weights", ["none", "balanced", "sqrt", "median-frequency"])
def test_losses_and_class_weights_reach_the_objective(loss, weights):
    dataset, pack = data(shares=(0.26, 0.04))
    kind = PIXEL_LOSSES[loss]
    if weights != "none" and not kind.weighs_classes:
        pytest.skip("this loss has no class weights")
    smoothing = 0.1 if kind.smooths_labels else 0.0
    settings = (
        "network=residual",
        f"loss.name={loss!r}",
        f"loss.class_weights={weights}",
        f"label_smoothing={smoothing}",
    )
    chosen, _ = trained(recipe(*settings), dataset, pack)
    rows = np.arange(3)
    objective = map_objective(chosen, prepared(dataset, pack), rows)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 9, generator=generator)
    targets = torch.randint(3, (2, 8, 9), generator=generator)
    targets[:, 0] = IGNORE
    expected = kind.losses(
        logits, targets, class_weights=class_weights(weights, pack.class_pixels[rows]), label_smoothing=smoothing
    )
    torch.testing.assert_close(objective.losses(logits, targets), expected)


def test_weights_are_those_of_the_training_images_alone():
    dataset, pack = data(shares=(0.3, 0.3))
    mask = np.zeros((40, 60), np.uint8)
    mask[0, :4] = 1
    uneven = Sample("uneven.png", np.zeros((40, 60, 3), np.uint8), Mask(mask))
    dataset = Dataset("yard", "by hand", CLASSES, (*dataset.samples, uneven), coding=CODING)
    pack = pack_native(dataset, hashes=content_hashes(dataset))
    chosen, _ = trained(recipe("network=residual", "loss.class_weights=balanced"), dataset, pack)
    objective = map_objective(chosen, prepared(dataset, pack), np.arange(4))
    logits = torch.zeros(1, 3, 1, 3).requires_grad_()
    targets = torch.tensor([[[0, 1, 2]]])
    expected = F.cross_entropy(logits, targets, weight=torch.tensor([1 / 0.4, 1 / 0.3, 1 / 0.3]))
    (gradient,) = torch.autograd.grad(objective.losses(logits, targets).mean(), logits, retain_graph=True)
    (wanted,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, wanted, atol=1e-4, rtol=1e-4)


def test_the_loss_of_patches_is_weighed_only_where_the_recipe_says_so():
    dataset, pack = data((80, 90), shares=(0.26, 0.04))
    logits, targets = torch.randn(6, 3), torch.tensor([0, 0, 0, 1, 1, 2])
    # They are drawn evenly from the classes already.
    for weights in ("none", "balanced", "auto"):
        chosen, _ = trained(recipe("segment=patch", f"loss.class_weights={weights}"), dataset, pack)
        objective = map_objective(chosen, prepared(dataset, pack), np.arange(4))
        given = class_weights("none" if weights == "auto" else weights, pack.class_pixels)
        expected = F.cross_entropy(logits, targets, weight=given).item()
        assert objective.losses(logits, targets).mean().item() == pytest.approx(expected, rel=1e-5)
