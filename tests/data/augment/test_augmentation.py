import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tv

from convolve.data.augment.augmentation import apply_geometry, build_augmentation
from convolve.data.augment.presets import PRESETS
from convolve.data.batch import Batch
from convolve.errors import UserError
from convolve.geometry import rotation, scaling

FILL = (40, 90, 200)
EVERYTHING = {
    "rotate": 10.0,
    "flip_horizontal": True,
    "contrast": 0.3,
    "brightness": 0.2,
    "noise": 0.05,
    "random_erasing": True,
    "mixup": 0.5,
}


def batch(count: int = 8, side: int = 16) -> Batch:
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(count), np.arange(count))


def test_the_order_in_the_recipe_does_not_matter() -> None:
    names = list(EVERYTHING)
    expected = build_augmentation(EVERYTHING, fill=FILL)(batch(), seed=1, epoch=2)
    for start in range(1, len(names)):
        spec = {name: EVERYTHING[name] for name in names[start:] + names[:start]}
        assert torch.equal(build_augmentation(spec, fill=FILL)(batch(), seed=1, epoch=2).images, expected.images)


def test_geometry_comes_first_then_colour_noise_erasing_and_mixing() -> None:
    assert list(build_augmentation(EVERYTHING, fill=FILL).transforms) == [
        "flip_horizontal",
        "rotate",
        "brightness",
        "contrast",
        "noise",
        "random_erasing",
        "mixup",
    ]


def test_another_augmentation_leaves_the_draws_of_the_first_alone() -> None:
    rows = np.arange(8)
    alone = build_augmentation({"rotate": 10.0}, fill=FILL).matrices(rows, image_hw=(8, 8), seed=0, epoch=0)
    with_colour = build_augmentation({"rotate": 10.0, "hue": True, "noise": True}, fill=FILL)
    assert np.array_equal(with_colour.matrices(rows, image_hw=(8, 8), seed=0, epoch=0), alone)


def test_nothing_asked_for_is_nothing_done() -> None:
    assert build_augmentation({}, fill=FILL)(batch(), seed=0, epoch=0).images.equal(batch().images)


def test_flips_are_torchs_to_the_bit() -> None:
    images = build_augmentation({"flip_horizontal": 1.0}, fill=FILL)(batch(), seed=0, epoch=0).images
    assert torch.equal(images, batch().images.flip(-1))
    images = build_augmentation({"flip_vertical": 1}, fill=FILL)(batch(), seed=0, epoch=0).images
    assert torch.equal(images, batch().images.flip(-2))


def test_flips_and_quarter_turns_give_all_eight_positions_about_equally_often() -> None:
    image = torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(0))
    positions = [flipped.rot90(turns, (-2, -1)) for flipped in (image, image.flip(-1)) for turns in range(4)]
    many = Batch(image.expand(4000, 3, 5, 5), torch.zeros(4000), np.arange(4000))
    spec = {"flip_horizontal": True, "flip_vertical": True, "quarter_turns": True}
    images = build_augmentation(spec, fill=FILL)(many, seed=0, epoch=0).images
    counts = [int((images == position).all(dim=(1, 2, 3)).sum()) for position in positions]
    assert sum(counts) == 4000
    assert min(counts) > 400


def test_what_comes_from_outside_has_the_fills_colour() -> None:
    white = Batch(torch.ones(64, 3, 8, 8), torch.zeros(64), np.arange(64))
    images = build_augmentation({"translate": 1.0}, fill=FILL)(white, seed=0, epoch=0).images
    assert (images.amin(dim=(0, 2, 3)) * 255).round().tolist() == list(FILL)


def test_interpolation_stays_within_the_range() -> None:
    white = Batch(torch.ones(64, 3, 28, 28), torch.zeros(64), np.arange(64))
    images = build_augmentation({"rotate": 40}, fill=FILL)(white, seed=0, epoch=0).images
    assert images.max() == 1


def test_a_number_sets_the_first_option_and_a_table_any() -> None:
    plain = build_augmentation({"rotate": 30}, fill=FILL)(batch(), seed=0, epoch=0)
    table = build_augmentation({"rotate": {"degrees": 30.0}}, fill=FILL)(batch(), seed=0, epoch=0)
    assert torch.equal(plain.images, table.images)
    assert not torch.equal(plain.images, build_augmentation({"rotate": 31}, fill=FILL)(batch(), seed=0, epoch=0).images)


@pytest.mark.parametrize("value", [15, True, False, 0, {}])
def test_an_unknown_name_gets_the_nearest_even_when_switched_off(value: object) -> None:
    with pytest.raises(UserError, match=r"unknown augmentation 'rotat'[\s\S]*Did you mean 'rotate'"):
        build_augmentation({"rotat": value}, fill=FILL)


@pytest.mark.parametrize("value", ["strong", None, [1, 2]])
def test_a_setting_of_another_kind_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=r"augment.rotate=.* is not an augmentation's setting[\s\S]*a table"):
        build_augmentation({"rotate": value}, fill=FILL)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("channels", [1, 3])
def test_presets_keep_most_of_an_image(preset: str, channels: int) -> None:
    disc = (torch.cartesian_prod(torch.arange(24.0), torch.arange(24.0)) - 11.5).norm(dim=1) < 7
    images = disc.float().reshape(1, 1, 24, 24).expand(64, channels, 24, 24)
    augmentation = build_augmentation(PRESETS[preset], fill=(0,) * channels)
    seen = augmentation(Batch(images, torch.zeros(64), np.arange(64)), seed=0, epoch=0).images
    shares = seen.sum(dim=(1, 2, 3)) / images.sum(dim=(1, 2, 3))
    assert shares.min() > 0.6


def test_mask_and_boxes_follow_the_image_as_torchvision_has_it() -> None:
    image, mask = batch(1).images, torch.randint(0, 5, (1, 16, 16), generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[1.0, 2.0, 7.0, 12.0], [0.0, 0.0, 16.0, 4.0]])
    moved = apply_geometry(
        image, mask, [boxes], matrices=scaling(-np.ones(1), np.ones(1)), fill=torch.zeros(3), ignore_index=9
    )
    in_torchvision = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(16, 16))
    assert moved.masks is not None
    assert moved.boxes is not None
    assert torch.equal(moved.images, image.flip(-1))
    assert torch.equal(moved.masks, mask.flip(-1))
    assert torch.equal(moved.boxes[0], torch.as_tensor(tv.horizontal_flip(in_torchvision)))


def test_a_turned_mask_is_torchvisions_but_for_ties() -> None:
    mask = torch.zeros(1, 32, 32, dtype=torch.uint8)
    mask[:, 8:20, 10:28] = 3
    moved = apply_geometry(
        torch.zeros(1, 1, 32, 32), mask, matrices=rotation(np.array([33.0])), fill=torch.zeros(1), ignore_index=255
    )
    expected = tv.affine(mask, angle=33, translate=[0, 0], scale=1, shear=[0, 0], fill=[255])
    assert moved.masks is not None
    assert moved.boxes is None
    assert moved.masks.dtype == torch.uint8
    assert (moved.masks == expected).float().mean() > 0.99


def test_every_image_keeps_its_own_boxes() -> None:
    boxes = [torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.zeros(0, 4), torch.tensor([[1.0, 0.0, 4.0, 3.0]] * 2)]
    x = np.array([-1.0, 1.0, -1.0])
    moved = apply_geometry(torch.rand(3, 1, 8, 8), boxes=boxes, matrices=scaling(x, np.ones(3)), fill=torch.zeros(1))
    assert moved.masks is None
    assert moved.boxes is not None
    assert [box.tolist() for box in moved.boxes] == [[[6, 0, 8, 2]], [], [[4, 0, 7, 3]] * 2]
