from pathlib import Path

import numpy as np
import pytest
import tifffile

from convolve.data import pixel_statistics
from convolve.data.content import content_hashes
from convolve.data.dataset import Dataset, Mask, MaskCoding, Sample
from convolve.data.native_pack import NativePack, pack_native
from convolve.data.pixel_statistics import channel_statistics, measure_range


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def packed(folder: Path, *images: np.ndarray) -> NativePack:
    samples = []
    for row, image in enumerate(images):
        path = folder / f"{row}.tif"
        tifffile.imwrite(path, image, photometric="minisblack", planarconfig="contig")
        samples.append(Sample(path.name, path, Mask(np.zeros(image.shape[:2], np.uint8))))
    dataset = Dataset("field", "by hand", ("ground",), tuple(samples), coding=MaskCoding("index", ((0,),)))
    return pack_native(dataset, hashes=content_hashes(dataset))


def test_the_range_of_other_types_leaves_wild_values_out(folder: Path) -> None:
    images = [np.random.default_rng(seed).integers(1000, 3000, (60, 50, 5)).astype(np.uint16) for seed in range(3)]
    images[1][4, 4], images[2][7, 7] = 65535, 0
    low, high = measure_range(packed(folder, *images), np.array([0, 1, 2]))
    expected = np.quantile(np.concatenate([image.reshape(-1, 5) for image in images]), [0.001, 0.999], axis=0)
    np.testing.assert_allclose([low, high], expected)
    assert min(low) >= 1000
    assert max(high) < 3000


def test_statistics_are_those_of_all_valid_pixels_of_these_rows(folder: Path) -> None:
    images = [np.random.default_rng(seed).normal(5, 2, (20 + seed, 30, 5)).astype(np.float32) for seed in range(3)]
    images[0][:5, :, 1] = np.nan
    pack = packed(folder, *images)
    mean, std = channel_statistics(pack, np.array([0, 2]), (0.0,) * 5, (10.0,) * 5)
    used = np.concatenate([images[0][5:].reshape(-1, 5), images[2].reshape(-1, 5)]).astype(np.float64)
    unit = np.clip(used / 10, 0, 1)
    np.testing.assert_allclose(mean, unit.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(std, unit.std(axis=0), rtol=1e-6)


def test_a_band_of_one_value_divides_by_nothing(folder: Path) -> None:
    image = np.full((8, 9, 5), 7, np.uint16)
    pack = packed(folder, image)
    low, high = measure_range(pack, np.array([0]))
    assert (low, high) == ((7.0,) * 5, (8.0,) * 5)
    assert channel_statistics(pack, np.array([0]), low, high) == ((0.0,) * 5, (1.0,) * 5)


def test_a_sample_of_many_pixels_is_close_and_the_same_every_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel_statistics, "_SAMPLED", 4000)
    images = [np.random.default_rng(seed).integers(0, 256, (90, 80, 5), dtype=np.uint8) for seed in range(2)]
    pack = packed(folder, *images)
    rows = np.arange(2)
    assert measure_range(pack, rows) == ((0.0,) * 5, (255.0,) * 5)
    mean, std = channel_statistics(pack, rows, (0.0,) * 5, (255.0,) * 5)
    assert (mean, std) == channel_statistics(pack, rows, (0.0,) * 5, (255.0,) * 5)
    # Uniform values have mean 1/2 and deviation sqrt(1/12); the mean of 4000 has a standard error of 0.0046.
    np.testing.assert_allclose(mean, 0.5, atol=5 * 0.0046)
    np.testing.assert_allclose(std, np.sqrt(1 / 12), atol=0.02)
