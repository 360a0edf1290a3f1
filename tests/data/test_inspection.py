import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from convolve.data.dataset import ClassLabel, ClassLabels, Dataset, ImageArray, Problem, Sample
from convolve.data.findings import Spread
from convolve.data.inspection import inspect_dataset


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def picture(seed: int, height: int = 48, width: int = 48) -> ImageArray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width, 3)), (3, 3, 0))
    return np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)


def dataset_of(*samples: Sample, classes: tuple[str, ...] = ("cat", "dog")) -> Dataset:
    return Dataset("pets", "by hand", classes, samples)


def file_of(pixels: ImageArray, path: Path, **options: int) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


CAT, DOG = ClassLabel(0), ClassLabel(1)


def test_counts_sizes_and_statistics(folder: Path) -> None:
    samples = (
        Sample("a", file_of(picture(0, 40, 60), folder / "a.png"), CAT, split="test"),
        Sample("b", file_of(picture(1, 50, 50), folder / "b.png"), CAT, split="train"),
        Sample("c", file_of(np.full((64, 64), 51, np.uint8), folder / "c.png"), DOG, split="train"),
        Sample("d", file_of(np.full((64, 64), 102, np.uint8), folder / "d.png"), DOG),
        Sample("e", file_of(picture(2, 90, 30), folder / "e.png"), CAT, split="test"),
    )
    found = inspect_dataset(dataset_of(*samples))
    assert found.counts == {"cat": {"train": 1, "test": 2}, "dog": {"train": 1, "no split": 1}}
    assert list(found.split_counts.items()) == [("train", 2), ("test", 2), ("no split", 1)]
    assert found.imbalance == 1.5
    assert found.small_classes == {"cat": 1, "dog": 1}
    assert found.height == Spread(40, 64, 90)
    assert found.width == Spread(30, 60, 64)
    assert found.aspect == Spread(1 / 3, 1, 1.5)
    assert found.file_bytes is not None
    assert found.file_bytes.least == min(path.stat().st_size for path in folder.glob("*.png"))
    assert found.colours == {"RGB": 3, "L": 2}
    assert len(found.mean) == 3
    assert found.copies == ()
    assert found.fit == "pad"
    told = " ".join(found.advice)
    assert "2 images are grey and the others are not" in told
    assert "2 classes: cat (1), dog (1)" in told


def test_statistics_are_of_the_train_split_and_grey_where_all_is_grey() -> None:
    samples = [
        Sample(str(value), np.full((40, 40), value, np.uint8), CAT, split=split)
        for value, split in [(51, "train"), (153, "train"), (255, "test")]
    ]
    found = inspect_dataset(dataset_of(*samples))
    assert found.mean == pytest.approx((0.4,))
    assert found.std == pytest.approx((0.2,))
    assert found.file_bytes is None


def test_copies_conflicts_and_leaks(folder: Path) -> None:
    original = file_of(picture(0), folder / "a.png")
    samples = (
        Sample("a.png", original, CAT, split="train"),
        Sample("other.png", file_of(picture(1), folder / "other.png"), CAT, split="train"),
        Sample("again.png", original, DOG, split="train"),
        Sample("a.jpg", file_of(picture(0), folder / "a.jpg", quality=60), CAT, split="test"),
        Sample("empty1", folder / "empty1", CAT),
        Sample("empty2", folder / "empty2", CAT),
    )
    for name in ("empty1", "empty2"):
        (folder / name).touch()
    found = inspect_dataset(dataset_of(*samples))
    exact, near = found.copies
    assert (exact.kind, exact.rows, exact.names) == ("exact", (0, 2), ("a.png", "again.png"))
    assert exact.labels == (("cat",), ("dog",))
    assert (near.kind, near.rows, near.splits) == ("near", (0, 2, 3), ("train", "train", "test"))
    assert found.leaks == (near,)
    assert found.conflicts == (exact, near)
    assert found.advice[0].startswith("1 group of copies (3 images; 0 exact, 1 near) in more than one split")
    assert "a.png as cat, again.png as dog" in found.advice[1]


def test_missing_and_broken_files_are_told_apart(folder: Path) -> None:
    (folder / "text.jpg").write_text("hello")
    samples = (
        Sample("text.jpg", folder / "text.jpg", CAT),
        Sample("absent.jpg", folder / "absent.jpg", DOG),
        Sample("good", picture(0), CAT),
    )
    left_out = Problem("labels.csv, line 3", "no such class")
    found = inspect_dataset(replace(dataset_of(*samples), problems=(left_out,)))
    assert found.missing == ("absent.jpg",)
    assert found.broken == (Problem("text.jpg", "it holds text, not an image"),)
    assert found.problems == (left_out,)
    assert found.images == 3
    assert found.small_classes == {"cat": 1, "dog": 0}


def test_all_broken_is_still_an_inspection(folder: Path) -> None:
    found = inspect_dataset(dataset_of(Sample("a", folder / "a", CAT), Sample("b", folder / "b", DOG)))
    assert (found.height, found.width, found.aspect, found.mean, found.std) == (None, None, None, (), ())
    assert found.near_skipped == "no image can be used"


def test_near_duplicates_of_tiny_images_are_not_looked_for() -> None:
    digits = [np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8) for seed in range(3)]
    samples = [Sample(str(row), image, CAT) for row, image in enumerate([*digits, digits[0]])]
    found = inspect_dataset(dataset_of(*samples))
    assert "under 32 pixels" in found.near_skipped
    assert [copies.rows for copies in found.copies] == [(0, 3)]


def test_several_labels_count_for_each_class() -> None:
    labels = [ClassLabels((0, 1)), ClassLabels(()), ClassLabels((1,))]
    found = inspect_dataset(dataset_of(*(Sample(str(row), picture(row), label) for row, label in enumerate(labels))))
    assert found.counts == {"cat": {"no split": 1}, "dog": {"no split": 2}}
    assert found.unlabelled == 1
    assert "1 image without a label" in " ".join(found.advice)


def test_imbalance_is_spoken_of() -> None:
    samples = [Sample(str(row), picture(row), CAT if row else DOG) for row in range(13)]
    found = inspect_dataset(dataset_of(*samples))
    assert found.imbalance == 12
    assert "12 times the images of the smallest" in " ".join(found.advice)


def test_json_is_plain_and_whole(folder: Path) -> None:
    samples = (Sample("a", picture(0), CAT), Sample("b", picture(0), DOG), Sample("c", folder / "c", DOG))
    found = inspect_dataset(dataset_of(*samples))
    plain = found.as_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["copies"][0]["names"] == ["a", "b"]
    assert plain["missing"] == ["c"]
    assert plain["aspect"] == {"least": 1, "median": 1, "greatest": 1}
