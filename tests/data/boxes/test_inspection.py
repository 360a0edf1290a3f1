import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convolve.data.boxes.inspection import BoxFindings, count_table, inspect_boxes, words
from convolve.data.content import content_hashes
from convolve.data.dataset import Box, Boxes, Dataset, Sample
from data.boxes.blood import blood, needs_blood


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def noise(seed: int) -> NDArray[np.uint8]:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((100, 80)))


def sample(name: str, *objects: Box, image: Any = None, split: Any = None) -> Sample:
    seed = sum(map(ord, name))
    return Sample(name, noise(seed) if image is None else image, Boxes((80, 100), objects), split=split)


def inspected(*samples: Sample) -> BoxFindings:
    dataset = Dataset("yard", "by hand", ("cat", "dog", "hen"), samples)
    return inspect_boxes(dataset, content_hashes(dataset))


CAT = Box(0, (10, 10, 50, 50))
DOG = Box(1, (60, 20, 90, 70))


def test_boxes_are_counted_by_class_and_split() -> None:
    found = inspected(
        sample("a", CAT, DOG, split="train"),
        sample("b", CAT, replace(DOG, kind="difficult"), split="train"),
        sample("c", split="train"),
        sample("d", DOG, Box(1, (0, 0, 100, 80), "crowd"), split="test"),
    )
    assert found.counts == {"cat": {"train": 2}, "dog": {"train": 2, "test": 2}, "hen": {}}
    assert (found.total, found.difficult, found.crowds, found.empty) == (6, 1, 1, 1)
    assert found.per_image is not None
    assert (found.per_image.least, found.per_image.median, found.per_image.greatest) == (0, 2, 2)
    assert found.files.images == 4
    assert found.files.split_counts == {"train": 3, "test": 1}
    # Ordinary objects of the train split tell about sizes, at an input of 192, twice the images' own but for a rest.
    assert found.side == 192
    assert found.boxes.objects == 3
    assert found.boxes.small + found.boxes.medium + found.boxes.large == 3
    columns, rows = count_table(found)
    assert columns == ["class", "train", "test", "all"]
    assert rows == [
        ["cat", 2, 0, 2],
        ["dog", 2, 2, 4],
        ["hen", 0, 0, 0],
        ["boxes", 4, 2, 6],
        ["images", 3, 1, 4],
    ]
    said = " ".join(found.advice)
    assert "Without a box: hen" in said
    assert "Fewer than 50 boxes to train on: cat (2), dog (2)" in said
    assert "without a label" not in said


def test_objects_that_overlap_are_told() -> None:
    # The second cat has 30 of 40 columns in common with the first: 30 / 50 of both; the dog is of another class.
    near = Box(0, (20, 10, 60, 50))
    same_place = Box(1, (10, 10, 50, 50))
    found = inspected(sample("a", CAT, near, same_place), sample("b", CAT))
    assert found.overlapping == pytest.approx(2 / 4)
    assert any("50% of the objects overlap" in sentence for sentence in found.advice)
    # 20 of 60 is no more than half; and a crowd may lie over anything.
    found = inspected(sample("a", CAT, Box(0, (30, 10, 70, 50)), Box(0, (10, 10, 50, 50), "crowd")))
    assert found.overlapping == 0


def test_boxes_that_stand_twice_and_images_that_differ_in_theirs() -> None:
    picture = noise(1)
    found = inspected(
        sample("a", CAT, DOG, CAT),
        sample("b", CAT, replace(CAT, index=1)),
        sample("one", CAT, DOG, image=picture, split="train"),
        sample("two", DOG, CAT, image=picture, split="test"),
        sample("three", CAT, image=noise(2)),
        sample("four", DOG, image=noise(2)),
    )
    assert found.double == ("a",)
    assert found.differing == (("three", "four"),)
    [leak] = found.files.leaks
    assert leak.names == ("one", "two")
    said = " ".join(found.advice)
    assert "The same box twice in 1 image: a" in said
    assert "three = four" in said
    assert "more than one split" in said


def test_broken_images_are_told_and_their_boxes_count(folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    found = inspected(sample("a", CAT), sample("b", DOG, image=folder / "broken.jpg"))
    assert [problem.where for problem in found.files.broken] == ["b"]
    assert found.total == 2


def test_without_boxes_there_is_little_to_say() -> None:
    found = inspected(sample("a"), sample("b"))
    assert (found.total, found.fit, found.anchor_sizes, found.overlapping) == (0, None, (), 0)
    assert found.advice[0].startswith("There is not one box")
    assert not any("anchors" in line for line in words(found))
    assert json.loads(json.dumps(found.as_json()))["total"] == 0


def test_json_has_everything_as_plain_values() -> None:
    found = inspected(sample("a", CAT), sample("b", DOG))
    plain = found.as_json()
    assert plain["counts"] == {"cat": {"no split": 1}, "dog": {"no split": 1}, "hen": {}}
    assert plain["files"]["images"] == 2
    assert plain["anchor_sizes"] == list(found.anchor_sizes)
    assert set(plain["fit"]) == {"half", "seven_tenths", "mean"}


@needs_blood
def test_blood_cells() -> None:
    found = inspect_boxes(*((dataset := blood(30)), content_hashes(dataset)))
    assert found.files.split_counts == {"train": 30, "validation": 30, "test": 30}
    assert (found.side, found.difficult, found.empty) == (640, 0, 0)
    assert found.fit is not None
    assert found.fit.half > 0.95
    lines = words(found)
    assert any(line.startswith("input: detect.side=640: 640 pixels") for line in lines)
    assert any(line.startswith("anchors: detect.anchor_sizes=[") and "detect.anchor_ratios=[" in line for line in lines)
