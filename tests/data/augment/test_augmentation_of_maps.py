"""Images and masks are moved by one grid: the mask, painted into the image, must stay where the mask is."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from convolve.data.augment.augmentation import Augmentation, build_augmentation
from convolve.data.augment.presets import PRESETS
from convolve.data.augment.transform import TRANSFORMS, Geometric
from convolve.data.batch import Batch
from convolve.data.dataset import IGNORE

CLASSES = 3
MOVING = sorted(name for name in TRANSFORMS if isinstance(TRANSFORMS[name](), Geometric))


def painted(count: int, hw: tuple[int, int], seed: int) -> Batch:
    """Masks of a few large areas, and images with one channel a class: 1 where the mask has it, else 0."""
    fields = np.random.default_rng(seed).standard_normal((count, *hw))
    smooth = ndimage.gaussian_filter(fields, (0, 3, 3), mode="wrap")
    edges = np.quantile(smooth, np.linspace(0, 1, CLASSES + 1)[1:-1])
    masks = torch.from_numpy(np.digitize(smooth, edges))
    return Batch(shown(masks), masks, np.arange(count))


def shown(masks: torch.Tensor) -> torch.Tensor:
    return torch.stack([(masks == index).float() for index in range(CLASSES)], dim=1)


def check(augmentation: Augmentation, batch: Batch, *, seed: int, epoch: int) -> None:
    """Of four pixels that bilinear interpolation mixes the nearest has the largest weight, which is 1/4 at least."""
    moved = augmentation(batch, seed=seed, epoch=epoch)
    assert moved.targets.dtype == torch.int64
    of_own_class = (moved.images * shown(moved.targets)).sum(dim=1)
    inside = moved.targets != IGNORE
    assert of_own_class[inside].min() >= 0.25 - 1e-4
    assert of_own_class[inside].mean() > 0.85
    assert (moved.images.sum(dim=1)[~inside] <= 0.75 + 1e-4).all()


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "none"])
@pytest.mark.parametrize("hw", [(48, 48), (40, 64)])
def test_every_preset_moves_the_mask_with_the_image(preset: str, hw: tuple[int, int]) -> None:
    whole = build_augmentation(PRESETS[preset], fill=(0, 0, 0))
    moving = {name: step for name, step in whole.transforms.items() if isinstance(step, Geometric)}
    batch = painted(12, hw, seed=0)
    check(Augmentation(moving, fill=torch.zeros(3)), batch, seed=0, epoch=1)
    # Colour has no say in where things are.
    only_moved = Augmentation(moving, fill=torch.zeros(3))(batch, seed=0, epoch=1).targets
    assert torch.equal(whole(batch, seed=0, epoch=1).targets, only_moved)


@given(
    names=st.sets(st.sampled_from(MOVING), min_size=1),
    hw=st.tuples(st.integers(24, 56), st.integers(24, 56)),
    seed=st.integers(0, 99),
)
def test_any_geometry_moves_the_mask_with_the_image(names: set[str], hw: tuple[int, int], seed: int) -> None:
    augmentation = build_augmentation(dict.fromkeys(names, True), fill=(0, 0, 0))
    check(augmentation, painted(4, hw, seed), seed=seed, epoch=0)


@pytest.mark.parametrize("hw", [(6, 6), (6, 9)])
def test_flips_and_quarter_turns_move_masks_without_loss(hw: tuple[int, int]) -> None:
    spec = {"flip_horizontal": True, "flip_vertical": True, "quarter_turns": True}
    masks = torch.arange(hw[0] * hw[1]).reshape(1, *hw).expand(64, *hw)
    batch = Batch(masks[:, None].float() / 255, masks, np.arange(64))
    moved = build_augmentation(spec, fill=(0,))(batch, seed=0, epoch=0)
    assert torch.equal((moved.images[:, 0] * 255).round().long(), moved.targets)
    assert (moved.targets.flatten(1).sort().values == masks.flatten(1)).all()
    positions = {tuple(one.flatten().tolist()) for one in moved.targets}
    assert len(positions) == (8 if hw[0] == hw[1] else 4)


def test_what_comes_from_outside_counts_nowhere() -> None:
    masks = torch.ones(16, 20, 20, dtype=torch.int64)
    augmentation = build_augmentation({"translate": 0.5}, fill=(0, 0, 0))
    check(augmentation, Batch(shown(masks), masks, np.arange(16)), seed=0, epoch=0)
    moved = augmentation(Batch(shown(masks), masks, np.arange(16)), seed=0, epoch=0)
    assert set(moved.targets.unique().tolist()) == {1, IGNORE}


def test_erased_pixels_keep_their_class_and_labels_of_images_stay() -> None:
    batch = painted(8, (24, 24), seed=1)
    erased = build_augmentation({"random_erasing": 1.0}, fill=(0, 0, 0))(batch, seed=0, epoch=0)
    assert not torch.equal(erased.images, batch.images)
    assert torch.equal(erased.targets, batch.targets)
    labels = Batch(batch.images, torch.arange(8), np.arange(8))
    assert torch.equal(
        build_augmentation({"rotate": 30}, fill=(0, 0, 0))(labels, seed=0, epoch=0).targets, torch.arange(8)
    )
