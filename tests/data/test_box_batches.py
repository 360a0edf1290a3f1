import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_area, clip_boxes_to_image

from convolve.data.augment.augmentation import Augmentation, build_augmentation
from convolve.data.augment.presets import PRESETS
from convolve.data.batch import Batch
from convolve.data.box_batches import BoxBatches, WholeBoxBatches
from convolve.data.box_preprocessing import BoxPreprocessing
from convolve.data.boxes.clipping import cut_rows
from convolve.data.boxes.targets import CLASS, CROWD, DIFFICULT, KIND, NOTHING, OBJECT, present
from convolve.data.content import content_hashes
from convolve.data.dataset import Box, Boxes, Dataset, Sample
from convolve.data.scaled_pack import ScaledPack, pack_scaled
from convolve.errors import UserError

SIDE = 64
FILL = 0.0
GREY = BoxPreprocessing(channels=1, side=SIDE, mean=(FILL,), std=(1.0,))
STEP = 20
MOVING: dict[str, Any] = {"flip_horizontal": True, "flip_vertical": True, "scale": 0.3, "translate": 0.2}
EXACT: dict[str, Any] = {"flip_horizontal": True, "flip_vertical": True, "quarter_turns": True}


def painted(hw: tuple[int, int], seed: int, classes: int = 10) -> tuple[NDArray[np.uint8], Boxes]:
    """Rectangles that do not touch, each in the grey of its class, which no other has; 0 is the ground."""
    random = np.random.default_rng(seed)
    image = np.zeros((*hw, 1), np.uint8)
    objects = []
    columns = max(1, hw[1] // 16)
    for index in range(min(classes, columns * max(1, hw[0] // 16))):
        y, x = 16 * (index // columns), 16 * (index % columns)
        top, left = (int(random.integers(1, 6)) for _ in range(2))
        h, w = (int(random.integers(4, 9)) for _ in range(2))
        box = (x + left, y + top, min(hw[1], x + left + w), min(hw[0], y + top + h))
        image[box[1] : box[3], box[0] : box[2]] = STEP * (index + 1)
        objects.append(Box(index, (float(box[0]), float(box[1]), float(box[2]), float(box[3]))))
    return image, Boxes(hw, tuple(objects))


def packed(folder: Path, pairs: Iterable[tuple[NDArray[np.uint8], Boxes]], side: int = SIDE) -> ScaledPack:
    samples = tuple(Sample(str(row), image, boxes) for row, (image, boxes) in enumerate(pairs))
    dataset = Dataset("yard", "by hand", tuple(map(str, range(10))), samples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(folder))
        return pack_scaled(dataset, hashes=content_hashes(dataset), side=side)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> ScaledPack:
    shapes = [(48, 64), (64, 64), (64, 32), (48, 64), (64, 64), (16, 64)]
    return packed(tmp_path_factory.mktemp("cache"), [painted(hw, seed) for seed, hw in enumerate(shapes)])


def batches(pack: ScaledPack, spec: dict[str, Any] | None = None, **options: Any) -> BoxBatches:
    augmentation = build_augmentation(spec, fill=(round(255 * FILL),)) if spec else None
    if crops := options.pop("crops", 0):
        options["visits"] = np.full(len(pack.usable), crops)
    given = {"canvas_hw": (64, 64), "batch_size": 3, "seed": 0, "preprocessing": GREY} | options
    return BoxBatches(pack, pack.usable, augmentation=augmentation, **given)


def all_of(batches: BoxBatches | WholeBoxBatches, epoch: int = 0) -> dict[int, list[tuple[Tensor, Tensor, Tensor]]]:
    """Image, targets and height and width of each sample of an epoch, by its row."""
    found: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = {}
    for batch in batches.epoch(epoch):
        for row, *one in zip(batch.rows.tolist(), batch.images, batch.targets, batch.extras[0], strict=True):
            found.setdefault(row, []).append((one[0], present(one[1]), one[2]))
    return found


def check_against_pixels(image: Tensor, rows: Tensor, hw: Tensor, *, margin: float) -> int:
    """Each box holds the grey of its class and nothing else, and outside of all boxes there is only ground.

    Args:
        image: (1, H, W).
        rows: (m, 6).
        hw: of the content.
        margin: pixels along the edges of boxes that are not looked at: interpolation mixes them.

    Returns:
        How many boxes had pixels to look at.
    """
    height, width = hw.tolist()
    grey = image[0, :height, :width] * 255
    corners = rows[:, :4]
    assert torch.equal(clip_boxes_to_image(corners, (height, width)), corners)
    assert (box_area(corners) > 0).all()
    y, x = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
    # Of an object just outside, interpolation leaves a shade at the edge.
    edge = torch.minimum(torch.minimum(y, height - y), torch.minimum(x, width - x))
    ground = edge > margin
    compared = 0
    for left, top, right, bottom, index, _ in rows.tolist():
        beyond = torch.maximum(torch.maximum(left - x, x - right), torch.maximum(top - y, y - bottom))
        assert ((grey[beyond < -margin] - STEP * (index + 1)).abs() < 0.3).all()
        compared += bool((beyond < -margin).any())
        ground &= beyond > margin
    assert grey[ground].abs().sum() < 0.1
    return compared


def test_without_augmentation_images_lie_at_the_top_left(pack: ScaledPack) -> None:
    found = all_of(batches(pack))
    assert sorted(found) == list(range(6))
    for row, [(image, rows, hw)] in found.items():
        h, w = pack.hw[row].tolist()
        assert hw.tolist() == [h, w]
        assert torch.equal(image[:, :h, :w] * 255, torch.tensor(pack.image(row)).permute(2, 0, 1).float())
        outside = image.clone()
        outside[:, :h, :w] = FILL
        assert (outside == FILL).all()
        assert torch.equal(rows, pack.boxes(row))
        assert check_against_pixels(image, rows, hw, margin=0) == len(rows)


def test_the_fill_is_the_mean_and_grey_images_are_shown_in_colour(pack: ScaledPack) -> None:
    colour = BoxPreprocessing(channels=3, side=SIDE, mean=(0.1, 0.2, 0.3), std=(1.0,) * 3)
    batch = WholeBoxBatches(pack, np.array([2]), preprocessing=colour, largest=1, multiple=50).batch(0, 0)
    assert batch.images.shape == (1, 3, 100, 50)
    assert torch.equal(batch.images[0, :, 99, 0], torch.tensor([0.1, 0.2, 0.3]))
    assert torch.equal(batch.images[0, 0, :64, :32], batch.images[0, 2, :64, :32])


@pytest.mark.parametrize("canvas_hw", [(64, 64), (40, 48)])
@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_flips_and_quarter_turns_lose_nothing(pack: ScaledPack, canvas_hw: tuple[int, int], mosaic: float) -> None:
    # Another mosaic and another window is the only other thing that could move.
    plain, turned = (batches(pack, spec, canvas_hw=canvas_hw, mosaic=mosaic) for spec in (None, EXACT))
    changed = 0
    for epoch in range(4):
        before, after = all_of(plain, epoch), all_of(turned, epoch)
        for row in before:
            [(image, rows, hw)], [(moved, moved_rows, moved_hw)] = before[row], after[row]
            assert torch.equal(hw, moved_hw)
            h, w = hw.tolist()
            positions = [image[:, :h, :w].rot90(k, (1, 2)) for k in range(4) if k % 2 == 0 or h == w]
            positions += [position.flip(2) for position in positions]
            assert any(torch.equal(moved[:, :h, :w], position) for position in positions)
            assert sorted(rows[:, CLASS:].tolist()) == sorted(moved_rows[:, CLASS:].tolist())
            if mosaic == 0:
                assert check_against_pixels(moved, moved_rows, moved_hw, margin=0) == len(rows)
            changed += not torch.equal(image, moved)
    assert changed > 12


@settings(max_examples=25, deadline=None)
@given(
    names=st.sets(st.sampled_from(sorted(MOVING))),
    canvas=st.tuples(st.integers(32, 80), st.integers(32, 80)),
    seed=st.integers(0, 99),
    crops=st.integers(1, 3),
)
def test_boxes_stay_around_what_they_were_around(
    pack: ScaledPack, names: set[str], canvas: tuple[int, int], seed: int, crops: int
) -> None:
    spec = {name: MOVING[name] for name in names}
    found = all_of(batches(pack, spec, canvas_hw=canvas, seed=seed, crops=crops), epoch=1)
    assert {row: len(some) for row, some in found.items()} == dict.fromkeys(range(6), crops)
    for some in found.values():
        for image, rows, hw in some:
            # Half of a pixel, enlarged 1.3 times.
            check_against_pixels(image, rows, hw, margin=0.7 if names - set(EXACT) else 0)


def test_turned_boxes_hold_all_of_what_they_held(pack: ScaledPack) -> None:
    for [(image, rows, hw)] in all_of(batches(pack, {"rotate": 15.0})).values():
        height, width = hw.tolist()
        y, x = torch.nonzero(image[0] * 255 > STEP / 2, as_tuple=True)
        assert len(x) > 20
        points = torch.stack([x, y], dim=1)[:, None] + 0.5
        beyond = torch.maximum(rows[:, :2] - points, points - rows[:, 2:4]).amax(dim=2).amin(dim=1)
        inner = (points[:, 0] > 1).all(dim=1) & (points[:, 0] < torch.tensor([width - 1, height - 1])).all(dim=1)
        assert (beyond[inner] < 0.75).all()


def test_a_mosaic_is_four_windows(pack: ScaledPack) -> None:
    partners = set()
    for row, [(image, rows, hw)] in all_of(batches(pack, mosaic=1.0)).items():
        assert hw.tolist() == [64, 64]
        for y, x in ((0, 0), (0, 32), (32, 0), (32, 32)):
            quarter = image[:, y : y + 32, x : x + 32]
            corner = torch.tensor([x, y, x, y])
            inside = ((rows[:, :2] >= corner[:2]) & (rows[:, 2:4] <= corner[:2] + 32)).all(dim=1)
            own = rows[inside].clone()
            own[:, :4] -= corner
            assert check_against_pixels(quarter, own, torch.tensor([32, 32]), margin=0) == len(own)
            places = [
                other
                for other in range(6)
                for part in [torch.tensor(pack.image(other)).permute(2, 0, 1).float() / 255]
                if any(
                    torch.equal(part[:, v : v + 32, u : u + 32], quarter[:, : part.shape[1], : part.shape[2]])
                    for v in range(max(1, part.shape[1] - 31))
                    for u in range(max(1, part.shape[2] - 31))
                )
            ]
            assert places
            assert (y, x) != (0, 0) or row in places
            partners.update(places)
    assert len(partners) == 6


def test_mosaics_are_as_frequent_as_asked(pack: ScaledPack) -> None:
    half = batches(pack, mosaic=0.5, canvas_hw=(80, 80))
    sizes = [tuple(one[2].tolist()) for epoch in range(40) for [one] in all_of(half, epoch).values()]
    assert 0.4 < sum(size == (80, 80) for size in sizes) / len(sizes) < 0.6


def test_half_of_the_windows_are_around_objects(tmp_path: Path) -> None:
    image = np.zeros((400, 400, 1), np.uint8)
    image[300:310, 40:50] = STEP
    pack = packed(tmp_path, [(image, Boxes((400, 400), (Box(0, (40, 300, 50, 310)),)))], side=400)
    found = all_of(batches(pack, canvas_hw=(50, 50), crops=300, batch_size=50))[0]
    assert len(found) == 300
    with_object = [rows for _, rows, _ in found if len(rows)]
    # And some of those that lie anywhere.
    assert 0.42 < len(with_object) / 300 < 0.6
    # Where it is whole it lies in many places: the window's middle half.
    lefts = [float(rows[0, 0]) for rows in with_object if box_area(rows[:, :4])[0] == 100]
    assert max(lefts) - min(lefts) > 20
    for one, rows, hw in found:
        check_against_pixels(one, rows, hw, margin=0)


def test_of_a_stump_nothing_is_asked() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10, 3, OBJECT]])
    # What is left of it when the window begins so far to the right.
    kinds = {left: cut_rows(boxes, (0, left), (20, 20))[:, KIND].tolist() for left in (0, 6, 8, 9, 10, 11)}
    assert kinds == {0: [OBJECT], 6: [OBJECT], 8: [DIFFICULT], 9: [DIFFICULT], 10: [], 11: []}
    crowd = torch.tensor([[0.0, 0, 10, 10, 3, CROWD]])
    assert cut_rows(crowd, (2, 9), (20, 20)).tolist() == [[0, 0, 1, 8, 3, CROWD]]
    assert cut_rows(boxes, (-3, -4), (5, 9)).tolist() == [[4, 3, 9, 5, 3, DIFFICULT]]


def test_augmentation_makes_stumps_too_and_drops_what_left() -> None:
    # All is moved by half of the width at most, either way.
    rows = torch.tensor([[0.0, 0, 4, 20, 0, OBJECT], [16, 0, 20, 20, 1, OBJECT], [0, 0, 0, 0, 0, NOTHING]])
    batch = Batch(torch.zeros(200, 1, 20, 20), rows.expand(200, 3, 6), np.arange(200))
    moved = build_augmentation({"translate": 0.5}, fill=(0,))(batch, seed=0, epoch=0)
    assert moved.targets.shape == (200, 3, 6)
    kinds = set(moved.targets[:, 0, KIND].tolist())
    assert kinds == {OBJECT, DIFFICULT, NOTHING}
    left = box_area(moved.targets[:, :2, :4].reshape(-1, 4)) / 80
    kind = moved.targets[:, :2, KIND].reshape(-1)
    assert torch.equal(kind == OBJECT, left >= 0.3)
    assert torch.equal(kind == NOTHING, left == 0)
    assert (moved.targets[:, 2] == torch.tensor([0.0, 0, 0, 0, 0, NOTHING])).all()
    # Never both on one side: they move together.
    assert not ((moved.targets[:, 0, KIND] == NOTHING) & (moved.targets[:, 1, KIND] == NOTHING)).any()


def test_colour_and_erasing_leave_boxes_alone(pack: ScaledPack) -> None:
    plain = all_of(batches(pack))
    spec = {"random_erasing": 1.0, "brightness": 0.5, "contrast": 0.5, "noise": True}
    for row, [(image, rows, hw)] in all_of(batches(pack, spec)).items():
        [(before, rows_before, _)] = plain[row]
        assert torch.equal(rows, rows_before)
        assert not torch.equal(image, before)
        outside = image.clone()
        outside[:, : hw[0], : hw[1]] = FILL
        assert (outside == FILL).all()


@pytest.mark.parametrize("preset", ["objects", "objects_symmetric", "symmetric"])
def test_presets_keep_boxes_around_their_objects(pack: ScaledPack, preset: str) -> None:
    geometry = {name: value for name, value in PRESETS[preset].items() if name not in ("brightness", "contrast")}
    compared = 0
    for epoch in range(3):
        for [(image, rows, hw)] in all_of(batches(pack, geometry), epoch).values():
            compared += check_against_pixels(image, rows, hw, margin=0.6)
    assert compared > 60


def test_given_regions_move_with_the_boxes(pack: ScaledPack) -> None:
    def regions(row: int) -> NDArray[np.float32]:
        corners: NDArray[np.float32] = pack.boxes(row)[:, :4].numpy()
        return np.concatenate([corners, corners[:1]])

    whole = WholeBoxBatches(pack, pack.usable, preprocessing=GREY, largest=1, regions=regions).batch(0, 3)
    assert torch.equal(whole.extras[1][0, :-1], pack.boxes(3)[:, :4])
    for options in ({}, {"canvas_hw": (40, 40)}, {"mosaic": 1.0}):
        for batch in batches(pack, MOVING, regions=regions, **options).epoch(0):
            hw, moved = batch.extras
            assert hw.dtype == torch.int64
            assert moved.dtype == torch.float32
            for rows, of_image in zip(batch.targets, moved, strict=True):
                own = of_image[box_area(of_image) > 0]
                assert torch.equal(of_image[: len(own)], own)
                assert {tuple(one) for one in own.tolist()} == {tuple(one) for one in present(rows)[:, :4].tolist()}


def test_the_best_regions_of_a_mosaic_come_first(tmp_path: Path) -> None:
    image = np.zeros((32, 32, 1), np.uint8)
    pack = packed(tmp_path, [(image, Boxes((32, 32), ()))] * 4, side=32)
    best = np.array([[0, 0, 32, 32], [2, 2, 8, 9], [1, 1, 30, 30]], np.float32)
    [batch] = batches(pack, regions=lambda row: best, mosaic=1.0, canvas_hw=(64, 64), batch_size=4).epoch(0)
    sides = batch.extras[1][..., 2:] - batch.extras[1][..., :2]
    assert sides[0].tolist() == [[32, 32]] * 4 + [[6, 7]] * 4 + [[29, 29]] * 4


def test_an_epoch_is_a_function_of_its_number(pack: ScaledPack) -> None:
    spec = MOVING | {"brightness": 0.3}
    ours = batches(pack, spec, mosaic=0.5, canvas_hw=(48, 48), crops=2)
    again = batches(pack, spec, mosaic=0.5, canvas_hw=(48, 48), crops=2)
    late = list(again.epoch(2, start_step=1))
    for one, other in zip(list(ours.epoch(2))[1:], late, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.targets, other.targets)
    # Nor does it matter which others are in a batch.
    together = all_of(batches(pack, spec, mosaic=0.5, canvas_hw=(48, 48), crops=2, batch_size=12), 2)
    for row, some in all_of(ours, 2).items():
        for one, other in zip(some, together[row], strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
        assert not torch.equal(some[0][0], some[1][0])
    assert not torch.equal(ours.batch(0, 0).images, ours.batch(1, 0).images)


def test_whole_images_come_in_order_those_of_one_size_together(pack: ScaledPack) -> None:
    rows = np.array([0, 3, 1, 4, 2, 5])
    whole = WholeBoxBatches(pack, rows, preprocessing=GREY, largest=2 * 64 * 64, multiple=32)
    found = list(whole.epoch(0))
    assert [batch.rows.tolist() for batch in found] == [[0, 3], [1, 4], [2], [5]]
    assert [tuple(batch.images.shape[2:]) for batch in found] == [(64, 64), (64, 64), (64, 32), (32, 64)]
    for row, [(image, targets, hw)] in all_of(whole).items():
        assert hw.tolist() == pack.hw[row].tolist()
        assert torch.equal(targets, pack.boxes(row))
        check_against_pixels(image, targets, hw, margin=0)
    one_by_one = WholeBoxBatches(pack, rows, preprocessing=GREY, largest=64 * 64, multiple=16)
    assert one_by_one.steps == 6
    assert one_by_one.batch(7, 0).images.shape == (1, 1, 48, 64)


def test_images_without_boxes_are_images_too(tmp_path: Path) -> None:
    pack = packed(tmp_path, [(np.zeros((8, 8, 1), np.uint8), Boxes((8, 8), ()))] * 2)
    for mosaic in (0.0, 1.0):
        batch = batches(pack, {"rotate": 5.0}, mosaic=mosaic, regions=lambda row: np.zeros((0, 4), np.float32)).batch(
            0, 0
        )
        assert batch.targets.shape == (2, 1, 6)
        assert (batch.targets[..., KIND] == NOTHING).all()
        assert batch.extras[1].tolist() == [[[0, 0, 0, 0]]] * 2


def test_boxes_cannot_be_mixed(pack: ScaledPack) -> None:
    with pytest.raises(UserError, match=r"augment.mixup mixes images, and boxes cannot be mixed[\s\S]*=false"):
        batches(pack, {"mixup": 0.2})


def test_there_must_be_rows(pack: ScaledPack) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        BoxBatches(
            pack, np.empty(0, np.int64), canvas_hw=(8, 8), batch_size=1, seed=0, preprocessing=GREY, augmentation=None
        )


def test_maps_of_classes_are_still_maps() -> None:
    masks = torch.arange(2 * 6 * 6).reshape(2, 6, 6) % 5
    batch = Batch(masks[:, None].float() / 5, masks, np.arange(2))
    moved = Augmentation({}, fill=torch.zeros(1))(batch, seed=0, epoch=0)
    assert torch.equal(moved.targets, masks)


@pytest.mark.skipif("CONVOLVE_TEST_DATA" not in os.environ, reason="CONVOLVE_TEST_DATA names no folder of data sets")
def test_photographs_of_blood_fill_a_batch(tmp_path: Path) -> None:
    files = sorted(Path(os.environ["CONVOLVE_TEST_DATA"], "bccd", "JPEGImages").glob("*.jpg"))[:6]
    boxes = Boxes((480, 640), (Box(0, (100, 100, 200, 180)), Box(1, (300, 0, 640, 480))))
    dataset = Dataset("blood", "by hand", ("a", "b"), tuple(Sample(file.name, file, boxes) for file in files))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(tmp_path))
        pack = pack_scaled(dataset, hashes=content_hashes(dataset), side=320)
    colour = BoxPreprocessing(channels=3, side=320, mean=(0.5,) * 3, std=(0.2,) * 3)
    augmentation = build_augmentation(PRESETS["objects"], fill=(128,) * 3)
    for batch in BoxBatches(
        pack, pack.usable, canvas_hw=(240, 320), batch_size=2, seed=0, preprocessing=colour, augmentation=augmentation
    ).epoch(0):
        assert batch.images.shape == (2, 3, 240, 320)
        assert 0 <= batch.images.min() < batch.images.max() <= 1
        assert batch.extras[0].tolist() == [[240, 320]] * 2
        assert set(batch.targets[..., KIND].unique().tolist()) <= {NOTHING, OBJECT, DIFFICULT}


def test_images_are_shown_as_often_as_they_are_to_be_and_differently_each_time(pack: ScaledPack) -> None:
    visits = np.array([1, 3, 1, 2, 1, 1])
    found = all_of(batches(pack, {"brightness": 0.5}, visits=visits), epoch=2)
    assert [len(found[row]) for row in range(6)] == visits.tolist()
    assert len({float(image.mean()) for image, _, _ in found[1]}) == 3
