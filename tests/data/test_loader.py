from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.augment.presets import PRESETS
from convolve.data.loader import Loader


def pack(count: int = 50, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 8, channels), dtype=np.uint8)


def loader(
    rows: np.ndarray | None = None, *, batch_size: int = 8, seed: int = 0, shuffle: bool = True, **more
) -> Loader:
    rows = np.arange(50) if rows is None else rows
    return Loader(pack(), torch.arange(50) * 10, rows, batch_size=batch_size, seed=seed, shuffle=shuffle, **more)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 64), st.booleans())
def test_an_epoch_has_every_row_once_in_batches_nearly_equal_and_never_of_one(
    count: int, batch_size: int, shuffle: bool
) -> None:
    images = np.zeros((count, 1, 1, 1), np.uint8)
    rows = np.arange(count)[::-1].copy()
    made = Loader(images, torch.arange(count), rows, batch_size=batch_size, seed=0, shuffle=shuffle)
    batches = list(made.epoch(3))
    assert len(batches) == made.steps
    sizes = [len(batch.rows) for batch in batches]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(batch_size, 3)
    assert min(sizes) >= 2 or count == 1
    seen = np.concatenate([batch.rows for batch in batches])
    assert sorted(seen) == list(range(count))
    assert shuffle or np.array_equal(seen, rows)


def test_images_are_torchvisions_and_targets_go_with_their_rows() -> None:
    rows = np.array([40, 3, 22, 3])
    [batch] = loader(rows, shuffle=False).epoch(0)
    expected = torch.stack([tv.to_dtype(tv.to_image(pack()[row]), torch.float32, scale=True) for row in rows])
    assert torch.allclose(batch.images, expected, rtol=0, atol=1e-7)
    assert torch.equal((batch.images * 255).round().byte(), torch.from_numpy(pack()[rows]).permute(0, 3, 1, 2))
    assert batch.images.is_contiguous()
    assert batch.targets.tolist() == [400, 30, 220, 30]
    assert batch.rows.tolist() == rows.tolist()


def test_grey_and_several_labels() -> None:
    targets = torch.rand(50, 4)
    made = Loader(pack(channels=1), targets, np.arange(50), batch_size=16, seed=0, shuffle=True)
    batch = made.batch(0, 1)
    assert batch.images.shape == (13, 1, 6, 8)
    assert torch.equal(batch.targets, targets[torch.from_numpy(batch.rows)])


def test_a_memory_map_is_read_and_left_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "pack.npy", pack())
    mapped = np.load(tmp_path / "pack.npy", mmap_mode="r")
    made = Loader(mapped, torch.arange(50) * 10, np.arange(50), batch_size=8, seed=0, shuffle=True)
    assert torch.equal(made.batch(1, 2).images, loader().batch(1, 2).images)
    assert np.array_equal(mapped, pack())


def test_a_batch_is_the_same_whenever_it_is_asked_for() -> None:
    augmentation = build_augmentation(PRESETS["photos"], fill=(0, 0, 0))
    undisturbed = [list(loader(augmentation=augmentation).epoch(epoch)) for epoch in range(3)]
    asked = loader(augmentation=augmentation)
    for epoch, step in [(2, 5), (0, 0), (1, 6), (2, 0), (0, 3)]:
        batch, expected = asked.batch(epoch, step), undisturbed[epoch][step]
        assert torch.equal(batch.images, expected.images)
        assert torch.equal(batch.targets, expected.targets)
        assert np.array_equal(batch.rows, expected.rows)


def test_an_epoch_can_be_entered_midway() -> None:
    whole, rest = list(loader().epoch(4)), list(loader().epoch(4, start_step=5))
    assert [batch.rows.tolist() for batch in rest] == [batch.rows.tolist() for batch in whole[5:]]
    assert list(loader().epoch(4, start_step=loader().steps)) == []


def test_the_order_changes_with_epoch_and_seed_only_when_shuffled() -> None:
    def order(epoch: int, **options) -> list[int]:
        return [row for batch in loader(**options).epoch(epoch) for row in batch.rows.tolist()]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != order(0, seed=1)
    assert order(0, shuffle=False) == order(1, shuffle=False) == order(1, shuffle=False, seed=1) == list(range(50))


def test_a_sample_is_augmented_the_same_with_another_batch_size() -> None:
    augmentation = build_augmentation(PRESETS["photos"] | {"rotate": 10.0}, fill=(9, 9, 9))

    def by_row(batch_size: int) -> dict[int, torch.Tensor]:
        made = loader(batch_size=batch_size, augmentation=augmentation)
        return {
            row: image for batch in made.epoch(1) for row, image in zip(batch.rows.tolist(), batch.images, strict=True)
        }

    small, large = by_row(4), by_row(50)
    assert small.keys() == large.keys()
    assert all(torch.equal(small[row], large[row]) for row in small)


def test_a_sample_is_augmented_in_another_way_every_epoch() -> None:
    made = loader(shuffle=False, augmentation=build_augmentation({"brightness": 0.5}, fill=(0, 0, 0)))
    assert not torch.equal(made.batch(0, 0).images, made.batch(1, 0).images)


def test_no_rows_are_a_fault() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        loader(np.array([], dtype=np.int64))
