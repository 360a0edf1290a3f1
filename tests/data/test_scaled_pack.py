import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convolve.data.box_preprocessing import BoxPreprocessing
from convolve.data.boxes.targets import CROWD, DIFFICULT, OBJECT
from convolve.data.content import content_hashes
from convolve.data.dataset import Box, Boxes, ClassLabel, Dataset, Sample
from convolve.data.decoding import decode
from convolve.data.scaled_pack import ScaledPack, WantedChannels, channel_statistics, pack_scaled

SHAPES = [(20, 30), (16, 16), (90, 40), (7, 129)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def random_image(hw: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*hw, 3), dtype=np.uint8)


def around(hw: tuple[int, int]) -> Boxes:
    return Boxes(hw, (Box(1, (0.0, 0.0, float(hw[1]), float(hw[0]))),))


def dataset_of(*pairs: tuple[Any, Any]) -> Dataset:
    samples = tuple(Sample(f"{row}.png", image, target) for row, (image, target) in enumerate(pairs))
    return Dataset("yard", "by hand", ("cat", "dog"), samples)


def packed(dataset: Dataset, side: int = 32, channels: WantedChannels = "auto") -> ScaledPack:
    return pack_scaled(dataset, hashes=content_hashes(dataset), side=side, channels=channels)


def saved(path: Path, pixels: NDArray[np.uint8], **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def test_images_are_what_the_preprocessing_makes_of_them(folder: Path) -> None:
    images = [random_image(hw, seed) for seed, hw in enumerate(SHAPES)]
    files = [saved(folder / f"{row}.jpg", image, quality=80) for row, image in enumerate(images)]
    told: list[tuple[str, int, int]] = []
    dataset = dataset_of(*((file, around(hw)) for file, hw in zip(files, SHAPES, strict=True)))
    pack = pack_scaled(dataset, hashes=content_hashes(dataset), side=32, progress=lambda *step: told.append(step))
    assert told[-1] == ("decoding images", 4, 4)
    assert (pack.channels, pack.broken, pack.usable.tolist()) == (3, {}, [0, 1, 2, 3])
    assert pack.original_hw.tolist() == [list(hw) for hw in SHAPES]
    assert pack.hw.tolist() == [[21, 32], [32, 32], [32, 14], [2, 32]]
    preprocessing = BoxPreprocessing(channels=3, side=32, mean=(0.5,) * 3, std=(1.0,) * 3)
    for row, file in enumerate(files):
        np.testing.assert_array_equal(pack.image(row), preprocessing.resize(decode(file, channels=3)))
    with pytest.raises(ValueError, match="read-only"):
        pack.image(0)[0] = 0


def test_boxes_scale_by_each_axis() -> None:
    objects = (Box(0, (0, 0, 129, 7)), Box(1, (12.9, 3.5, 64.5, 7), "difficult"), Box(1, (0, 0, 129, 3.5), "crowd"))
    pack = packed(
        dataset_of((random_image((7, 129)), Boxes((7, 129), objects)), (random_image((5, 5)), Boxes((5, 5), ())))
    )
    assert pack.boxes(0).tolist() == [
        pytest.approx([0, 0, 32, 2, 0, OBJECT]),
        pytest.approx([3.2, 1, 16, 2, 1, DIFFICULT]),
        pytest.approx([0, 0, 32, 1, 1, CROWD]),
    ]
    assert pack.boxes(1).shape == (0, 6)


def test_a_lying_photograph_has_the_boxes_of_the_upright_one(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    file = saved(folder / "lying.jpg", random_image((20, 40)), exif=exif)
    pack = packed(dataset_of((file, around((40, 20)))))
    assert (pack.broken, pack.original_hw.tolist(), pack.hw.tolist()) == ({}, [[40, 20]], [[32, 16]])
    assert pack.boxes(0)[0, :4].tolist() == [0, 0, 16, 32]


def test_channels_are_one_only_if_every_file_is_grey(folder: Path) -> None:
    grey = saved(folder / "grey.png", random_image((9, 9))[..., 0]), around((9, 9))
    colour = saved(folder / "colour.png", random_image((9, 9))), around((9, 9))
    assert packed(dataset_of(grey, grey)).channels == 1
    assert packed(dataset_of(grey, colour)).channels == 3
    assert packed(dataset_of(grey), channels=3).image(0).shape == (32, 32, 3)
    assert packed(dataset_of(colour), channels=1).image(0).shape == (32, 32, 1)


def test_what_cannot_be_used_is_told(folder: Path) -> None:
    (folder / "text.jpg").write_text("not an image")
    dataset = dataset_of(
        (folder / "text.jpg", around((9, 9))),
        (random_image((9, 9)), around((9, 10))),
        (random_image((9, 9)), ClassLabel(0)),
        (random_image((9, 9)), around((9, 9))),
    )
    pack = packed(dataset)
    assert pack.usable.tolist() == [3]
    assert "text" in pack.broken[0]
    assert pack.broken[1] == "its boxes are for an image of 10 x 9 pixels, and it has 9 x 9"
    assert pack.broken[2] == "it has no boxes"
    # Boxes are no part of what is kept, so a corrected annotation needs no decoding.
    corrected = dataset_of(*((sample.image, around((9, 9))) for sample in dataset.samples))
    assert packed(corrected).key == pack.key
    assert packed(corrected).usable.tolist() == [1, 2, 3]


def test_the_second_time_it_comes_from_the_cache_and_damage_is_mended(folder: Path) -> None:
    dataset = dataset_of(*((random_image(hw, seed), around(hw)) for seed, hw in enumerate(SHAPES)))
    first = packed(dataset)
    place = folder / "cache" / "scaled-packs" / first.key
    written = (place / "facts.json").stat().st_mtime_ns
    assert packed(dataset).key == first.key
    assert (place / "facts.json").stat().st_mtime_ns == written
    for name in ("pixels.bin", "hw.npy", "original_hw.npy", "facts.json"):
        content = (place / name).read_bytes()
        (place / name).unlink()  # a file that is mapped keeps its content
        (place / name).write_bytes(content[:-3])
        again = packed(dataset)
        for row in range(len(SHAPES)):
            np.testing.assert_array_equal(again.image(row), first.image(row))


def test_its_key_is_made_of_images_side_and_channels() -> None:
    one, other = (dataset_of((random_image((9, 9), seed), around((9, 9)))) for seed in (0, 1))
    keys = {packed(one).key, packed(other).key, packed(one, side=33).key, packed(one, channels=1).key}
    assert len(keys) == 4


def test_an_empty_data_set_has_an_empty_pack() -> None:
    assert packed(dataset_of()).usable.tolist() == []


def test_statistics_are_numpy_s_over_all_pixels() -> None:
    dataset = dataset_of(*((random_image(hw, seed), around(hw)) for seed, hw in enumerate(SHAPES)))
    pack = packed(dataset)
    pixels = np.concatenate([pack.image(row).reshape(-1, 3) for row in (0, 2)]) / 255
    mean, std = channel_statistics(pack, np.array([0, 2]))
    np.testing.assert_allclose(mean, pixels.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(std, pixels.std(axis=0), atol=1e-12)


@pytest.mark.skipif("CONVOLVE_TEST_DATA" not in os.environ, reason="CONVOLVE_TEST_DATA names no folder of data sets")
def test_photographs_of_blood() -> None:
    files = sorted(Path(os.environ["CONVOLVE_TEST_DATA"], "bccd", "JPEGImages").glob("*.jpg"))[:8]
    pack = packed(dataset_of(*((file, Boxes((480, 640), ())) for file in files)), side=640)
    assert (pack.channels, pack.broken) == (3, {})
    for row, file in enumerate(files):
        np.testing.assert_array_equal(pack.image(row), np.asarray(Image.open(file)))
