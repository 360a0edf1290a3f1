import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convolve.data.content import content_hashes, dataset_fingerprint, mask_hashes
from convolve.data.dataset import ClassLabel, Dataset, Mask, MaskCoding, Outline, Outlines, Sample


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "kept"))


def of(*targets: Mask) -> Dataset:
    image = np.zeros((4, 4), np.uint8)
    return Dataset("d", "", ("a", "b"), tuple(Sample(str(n), image, target) for n, target in enumerate(targets)))


def fingerprint(dataset: Dataset) -> str:
    return dataset_fingerprint(dataset, content_hashes(dataset))


def test_it_changes_with_any_mask_and_with_the_coding_but_not_the_images_hashes(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    array = np.zeros((4, 4), np.uint8)
    shape = Outline(1, polygons=((0.0, 0.0, 2.0, 0.0, 2.0, 2.0),))
    dataset = of(Mask(path), Mask(array), Mask(Outlines((4, 4), (shape,))))
    before, hashes = fingerprint(dataset), content_hashes(dataset)
    assert fingerprint(dataset) == before
    others = [
        of(Mask(path), Mask(array + 1), Mask(Outlines((4, 4), (shape,)))),
        of(Mask(path), Mask(array), Mask(Outlines((4, 4), (replace(shape, index=0),)))),
        replace(dataset, coding=MaskCoding("index", ((0,), (1,)))),
        replace(dataset, coding=MaskCoding("index", ((1,), (0,)))),
    ]
    time.sleep(0.02)
    Image.fromarray(np.ones((4, 4), np.uint8)).save(path)
    others.append(dataset)
    assert len({before, *map(fingerprint, others)}) == 6
    assert content_hashes(dataset) == hashes


def test_samples_without_a_mask_have_no_hash() -> None:
    dataset = Dataset("d", "", ("a", "b"), (Sample("0", np.zeros((4, 4), np.uint8), ClassLabel(0)),))
    assert mask_hashes(dataset) == ("",)
