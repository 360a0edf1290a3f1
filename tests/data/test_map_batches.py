import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data as pictures
from torch.nn import functional as F

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.content import content_hashes
from convolve.data.crop_windows import cut_mirrored, cut_padded
from convolve.data.dataset import IGNORE, Dataset, Mask, MaskCoding, Sample
from convolve.data.map_batches import CropBatches, PatchBatches, WholeBatches
from convolve.data.native_pack import NativePack, pack_native
from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.errors import UserError

CODING = MaskCoding("index", tuple((index,) for index in range(250)), ignored=(255,))
FILL = 0.6
GREY = PixelPreprocessing(channels=1, low=(0,), high=(255,), mean=(FILL,), std=(0.5,))


def packed(folder: Path, *pairs: tuple[Any, NDArray[np.uint8]]) -> NativePack:
    samples = tuple(Sample(str(row), image, Mask(mask)) for row, (image, mask) in enumerate(pairs))
    dataset = Dataset("yard", "by hand", tuple(f"class {index}" for index in range(250)), samples, coding=CODING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(folder))
        return pack_native(dataset, hashes=content_hashes(dataset))


def numbered(*shapes: tuple[int, int]) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Grey images whose values are their masks' classes, so that both must agree wherever they are cut."""
    masks = [np.random.default_rng(seed).integers(0, 250, hw, dtype=np.uint8) for seed, hw in enumerate(shapes)]
    return [(mask, mask) for mask in masks]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> NativePack:
    return packed(tmp_path_factory.mktemp("cache"), *numbered((40, 50), (9, 30), (64, 7), (25, 25), (1, 5)))


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path))


CORNERS = st.tuples(st.integers(0, 4), st.integers(-70, 90), st.integers(-70, 90))


@given(windows=st.lists(CORNERS, min_size=1, max_size=4), h=st.integers(1, 60), w=st.integers(1, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_are_what_numpy_pads_and_cuts(
    pack: NativePack, windows: list[tuple[int, int, int]], h: int, w: int
) -> None:
    rows = np.array([row for row, _, _ in windows])
    corners = np.array([corner for _, *corner in windows])
    padded, padded_masks = cut_padded(pack, rows, corners, (h, w), GREY)
    mirrored, mirrored_masks = cut_mirrored(pack, rows, corners, (h, w), GREY)
    for place, (row, top, left) in enumerate(windows):
        here = np.s_[top + 150 : top + 150 + h, left + 150 : left + 150 + w]
        expected = np.pad(pack.mask(row), 150, constant_values=IGNORE)[here]
        np.testing.assert_array_equal(padded_masks[place], expected)
        shown = np.where(expected == IGNORE, np.float32(FILL), expected / np.float32(255))
        np.testing.assert_allclose(padded[place, 0], shown, rtol=1e-6)
        expected = np.pad(pack.mask(row), 150, mode="reflect")[here]
        np.testing.assert_array_equal(mirrored_masks[place], expected)
        np.testing.assert_allclose(mirrored[place, 0], expected / np.float32(255), rtol=1e-6)


def crops_of(pack: NativePack, rows: list[int], **options: Any) -> CropBatches:
    facts: dict[str, Any] = {"crop_hw": (16, 20), "batch_size": 4, "seed": 3, "preprocessing": GREY} | options
    return CropBatches(pack, np.array(rows), **facts)


def test_an_epoch_visits_every_image_as_often_as_asked_and_each_crop_is_another(pack: NativePack) -> None:
    batches = crops_of(pack, [0, 1, 3], crops=5)
    epoch = list(batches.epoch(0))
    assert len(epoch) == batches.steps == 4
    rows = np.concatenate([batch.rows for batch in epoch])
    assert np.bincount(rows).tolist() == [5, 5, 0, 5]
    targets = torch.cat([batch.targets for batch in epoch])
    assert targets.dtype == torch.int64
    assert targets.shape == (15, 16, 20)
    assert len({tuple(target.flatten().tolist()) for target in targets}) >= 14
    assert not np.array_equal(rows, np.concatenate([batch.rows for batch in batches.epoch(1)]))


@pytest.mark.parametrize("sampling", ["uniform", "classes"])
def test_crops_show_their_masks_and_small_images_are_whole(pack: NativePack, sampling: Any) -> None:
    for batch in crops_of(pack, [0, 1, 2, 3], crops=6, sampling=sampling).epoch(0):
        inside = batch.targets != IGNORE
        assert torch.equal((batch.images[:, 0] * 255).round().long()[inside], batch.targets[inside])
        assert (batch.images[:, 0][~inside] == torch.tensor(FILL)).all()
        expected = {0: 16 * 20, 1: 9 * 20, 2: 16 * 7, 3: 16 * 20}
        assert inside.flatten(1).sum(dim=1).tolist() == [expected[row] for row in batch.rows]


def test_a_batch_is_the_same_whenever_it_is_asked_for(pack: NativePack) -> None:
    spec = {"flip_horizontal": True, "rotate": 20.0, "brightness": 0.3}
    augmentation = build_augmentation(spec, fill=(100,))
    for make in (
        lambda: crops_of(pack, [0, 1, 2, 3], crops=3, augmentation=augmentation, sampling="classes"),
        lambda: patches_of(pack, [0, 1, 2, 3], augmentation=augmentation),
    ):
        epoch = list(make().epoch(7))
        for step in (len(epoch) - 1, 0):
            again = make().batch(7, step)
            assert torch.equal(again.images, epoch[step].images)
            assert torch.equal(again.targets, epoch[step].targets)
            assert np.array_equal(again.rows, epoch[step].rows)
        (rest,) = make().epoch(7, len(epoch) - 1)
        assert torch.equal(rest.images, epoch[-1].images)


def test_uniform_crops_are_uniform(tmp_path: Path) -> None:
    rising = np.arange(24, dtype=np.uint8)[None, :].repeat(20, axis=0)
    batches = crops_of(packed(tmp_path, (rising, rising)), [0], crops=3000, batch_size=3000)
    lefts = batches.batch(0, 0).targets[:, 0, 0]
    counts = np.bincount(lefts, minlength=5)
    # Five places for a crop of 20 in 24: 600 each, with a standard deviation of sqrt(3000 * 0.2 * 0.8) = 22.
    assert len(counts) == 5
    assert np.abs(counts - 600).max() < 5 * 22


def test_a_small_image_lies_anywhere_in_its_crop(tmp_path: Path) -> None:
    mask = np.zeros((14, 20), np.uint8)
    pack = packed(tmp_path, (mask, mask))
    for sampling in ("uniform", "classes"):
        targets = crops_of(pack, [0], crops=300, batch_size=300, sampling=sampling).batch(0, 0).targets
        tops = (targets[:, :, 0] != IGNORE).int().argmax(dim=1)
        assert tops.unique().tolist() == [0, 1, 2]


def test_crops_around_classes_hold_the_rare_one_far_more_often(tmp_path: Path) -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[150:153, 20:23] = 1
    pack = packed(tmp_path, (mask, mask))
    with_rare = {
        sampling: (crops_of(pack, [0], crops=400, sampling=sampling, batch_size=400).batch(0, 0).targets == 1)
        .any(dim=2)
        .any(dim=1)
        .float()
        .mean()
        for sampling in ("uniform", "classes")
    }
    # By hand: about (18 x 22) of 185 x 181 places touch it, and every second crop is cut around it.
    assert 0 < with_rare["uniform"] < 0.04
    assert 0.4 < with_rare["classes"] < 0.6


def test_a_scale_cuts_more_and_resizes_it_as_torch_does(tmp_path: Path) -> None:
    photo = pictures.astronaut()[100:292, 80:336]
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[50:100, 60:160] = 7
    colour = PixelPreprocessing(channels=3, low=(0,) * 3, high=(255,) * 3, mean=(0.5,) * 3, std=(0.5,) * 3, scale=0.5)
    pack = packed(tmp_path, (photo, mask), (photo, mask))
    (batch,) = WholeBatches(pack, np.arange(2), preprocessing=colour, largest=10**9).epoch(0)
    whole = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    expected = F.interpolate(whole, (96, 128), mode="bilinear", antialias=True)
    torch.testing.assert_close(batch.images, expected.repeat(2, 1, 1, 1))
    assert batch.targets.shape == (2, 96, 128)
    assert (batch.targets == 7).sum().item() == 2 * 25 * 50
    (crops,) = crops_of(pack, [0, 1], crop_hw=(96, 128), preprocessing=colour).epoch(0)
    torch.testing.assert_close(crops.images, batch.images)
    assert torch.equal(crops.targets, batch.targets)


def test_whole_images_come_in_order_in_groups_of_one_size(tmp_path: Path) -> None:
    pack = packed(tmp_path, *numbered((8, 9), (8, 9), (8, 9), (9, 8), (8, 9), (30, 30)))
    batches = WholeBatches(pack, np.arange(6), preprocessing=GREY, largest=2 * 72)
    epoch = list(batches.epoch(0))
    assert batches.steps == len(epoch)
    assert [batch.rows.tolist() for batch in epoch] == [[0, 1], [2], [3], [4], [5]]
    for batch in epoch:
        for row, image, target in zip(batch.rows, batch.images, batch.targets, strict=True):
            np.testing.assert_array_equal(target, pack.mask(row))
            np.testing.assert_allclose(image[0] * 255, pack.mask(row), atol=1e-4)
    assert [batch.rows.tolist() for batch in batches.epoch(0, 3)] == [[4], [5]]


def patches_of(pack: NativePack, rows: list[int], **options: Any) -> PatchBatches:
    facts: dict[str, Any] = {"side": 9, "batch_size": 32, "patches": 100, "seed": 3, "preprocessing": GREY} | options
    return PatchBatches(pack, np.array(rows), **facts)


@pytest.mark.parametrize("side", [1, 8, 9, 33])
def test_the_target_of_a_patch_is_the_class_of_its_centre(pack: NativePack, side: int) -> None:
    batches = patches_of(pack, [0, 1, 2, 3, 4], side=side)
    epoch = list(batches.epoch(0))
    assert sum(len(batch.rows) for batch in epoch) == 100
    for batch in epoch:
        assert batch.images.shape[1:] == (1, side, side)
        centres = (batch.images[:, 0, side // 2, side // 2] * 255).round().long()
        assert torch.equal(centres, batch.targets)


def test_an_even_patch_has_one_row_more_above_its_centre_than_below(tmp_path: Path) -> None:
    mask = np.full((11, 11), 255, np.uint8)
    mask[5, 6] = 1
    image = np.arange(121, dtype=np.uint8).reshape(11, 11)
    batch = patches_of(packed(tmp_path, (image, mask)), [0], side=4).batch(0, 0)
    assert (batch.targets == 1).all()
    np.testing.assert_allclose(batch.images[0, 0] * 255, image[3:7, 4:8], atol=1e-4)


def test_balanced_patches_have_every_class_equally_often_and_others_every_pixel(tmp_path: Path) -> None:
    first, second = np.zeros((30, 40), np.uint8), np.full((30, 20), 255, np.uint8)
    first[:3, :10], second[:5] = 1, 1
    second[5:8] = 2
    pack = packed(tmp_path, (first, first), (second, second))
    balanced = patches_of(pack, [0, 1], patches=6000, batch_size=6000).batch(0, 0)
    counts = np.bincount(balanced.targets, minlength=3)
    # 2000 each, with a standard deviation of sqrt(6000 * 2/9) = 37.
    assert np.abs(counts - 2000).max() < 5 * 37
    of_class_1 = balanced.rows[balanced.targets.numpy() == 1]
    assert abs(np.mean(of_class_1 == 1) - 100 / 130) < 0.05  # 100 of its 130 pixels are in the second image
    plain = patches_of(pack, [0, 1], patches=6000, batch_size=6000, balanced=False).batch(0, 0)
    shares = np.bincount(plain.targets, minlength=3) / 6000
    np.testing.assert_allclose(shares, np.array([1170, 130, 60]) / 1360, atol=0.02)


def test_a_moved_patch_has_the_class_that_arrives_in_its_centre(pack: NativePack) -> None:
    flipped = build_augmentation({"flip_horizontal": 1.0}, fill=(0,))
    for side in (8, 9):
        plain = patches_of(pack, [0, 3], side=side).batch(0, 1)
        moved = patches_of(pack, [0, 3], side=side, augmentation=flipped).batch(0, 1)
        assert torch.equal(moved.images, plain.images.flip(-1))
        assert torch.equal((moved.images[:, 0, side // 2, side // 2] * 255).round().long(), moved.targets)


def test_crops_of_one_image_are_augmented_each_in_its_own_way(tmp_path: Path) -> None:
    mask = np.arange(20, dtype=np.uint8)[None, :].repeat(16, axis=0)
    augmentation = build_augmentation({"flip_horizontal": True}, fill=(0,))
    batch = crops_of(packed(tmp_path, (mask, mask)), [0], crops=64, batch_size=64, augmentation=augmentation).batch(
        0, 0
    )
    assert set(batch.targets[:, 0, 0].tolist()) == {0, 19}
    assert (batch.rows == 0).all()


def test_mixing_images_is_refused_for_maps(pack: NativePack) -> None:
    mixing = build_augmentation({"mixup": 0.2}, fill=(0,))
    with pytest.raises(UserError, match=r"augment.mixup mixes images[\s\S]*augment.mixup=false"):
        crops_of(pack, [0, 1], augmentation=mixing)


def test_no_rows_are_an_error_of_ours(pack: NativePack) -> None:
    for make in (crops_of, patches_of):
        with pytest.raises(ValueError, match="at least one row"):
            make(pack, [])


def test_pixels_without_data_are_fill_without_a_class(tmp_path: Path) -> None:
    image = np.random.default_rng(0).uniform(0, 10, (12, 12, 5)).astype(np.float32)
    image[4:8, 4:8] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", planarconfig="contig")
    five = PixelPreprocessing(channels=5, low=(0,) * 5, high=(10,) * 5, mean=(0.1, 0.2, 0.3, 0.4, 0.5), std=(1,) * 5)
    pack = packed(tmp_path, (tmp_path / "a.tif", np.zeros((12, 12), np.uint8)))
    (batch,) = WholeBatches(pack, np.array([0]), preprocessing=five, largest=1).epoch(0)
    hole = torch.zeros(12, 12, dtype=torch.bool)
    hole[4:8, 4:8] = True
    assert torch.equal(batch.targets[0] == IGNORE, hole)
    torch.testing.assert_close(batch.images[0][:, hole], torch.tensor(five.mean)[:, None].expand(5, 16))
    expected = torch.from_numpy(image / 10).permute(2, 0, 1)
    torch.testing.assert_close(batch.images[0][:, ~hole], expected[:, ~hole])


@pytest.mark.skipif("CONVOLVE_TEST_DATA" not in os.environ, reason="CONVOLVE_TEST_DATA names no folder of data sets")
def test_a_large_satellite_image_is_cut_where_its_colours_are(tmp_path: Path) -> None:
    tile = Path(os.environ["CONVOLVE_TEST_DATA"], "dubai-aerial", "Tile 8")
    image = sorted((tile / "images").glob("*.jpg"))[0]
    mask = tile / "masks" / f"{image.stem}.png"
    colours = {"building": (60, 16, 152), "land": (132, 41, 246), "road": (110, 193, 228), "vegetation": (254, 221, 58)}
    coding = MaskCoding("colour", tuple((colour,) for colour in colours.values()))
    dataset = Dataset("dubai", "pairs", tuple(colours), (Sample("8", image, Mask(mask)),), coding=coding)
    pack = pack_native(dataset, hashes=content_hashes(dataset))
    assert pack.broken == {}
    assert pack.hw.min() > 256
    colour = PixelPreprocessing(channels=3, low=(0,) * 3, high=(255,) * 3, mean=(0.5,) * 3, std=(0.5,) * 3)
    crops = crops_of(pack, [0], crop_hw=(256, 256), crops=8, sampling="classes", preprocessing=colour)
    seen = torch.cat([batch.targets for batch in crops.epoch(0)]).unique().tolist()
    assert set(range(4)) <= {*seen} <= {*range(4), IGNORE}
