import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image

from convolve.data import cache
from convolve.data.content import content_hashes
from convolve.data.dataset import IGNORE, Dataset, Mask, MaskCoding, Sample
from convolve.data.native_pack import NativePack, pack_native
from convolve.errors import UserError

CODING = MaskCoding("index", ((0,), (1,), (2,)), ignored=(255,))
SHAPES = [(20, 30), (16, 16), (9, 40)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def random_mask(hw: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), size=hw, p=[0.6, 0.2, 0.1, 0.1])


def random_image(hw: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*hw, 3), dtype=np.uint8)


def dataset_of(*pairs: tuple[Any, Any], coding: MaskCoding = CODING) -> Dataset:
    samples = tuple(Sample(f"{row}.png", image, Mask(mask)) for row, (image, mask) in enumerate(pairs))
    return Dataset("yard", "by hand", ("ground", "grass", "tree"), samples, coding=coding)


def saved(path: Path, pixels: NDArray[np.uint8]) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def packed(dataset: Dataset, bands: tuple[int, ...] | None = None) -> NativePack:
    return pack_native(dataset, hashes=content_hashes(dataset), bands=bands)


def raster(path: Path, bands: NDArray[Any], **profile: Any) -> Path:
    shape = {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2]}
    place = {"transform": Affine(1, 0, 5, 0, -1, 5), "crs": "EPSG:32632"}
    with rasterio.open(path, "w", driver="GTiff", dtype=bands.dtype, **shape, **place, **profile) as file:
        file.write(bands)
    return path


def test_every_image_keeps_its_size_and_has_its_mask(folder: Path) -> None:
    images = [random_image(hw, seed) for seed, hw in enumerate(SHAPES)]
    masks = [random_mask(hw, seed) for seed, hw in enumerate(SHAPES)]
    pairs = [
        (saved(folder / f"{row}.png", image), saved(folder / f"{row}m.png", mask))
        for row, (image, mask) in enumerate(zip(images, masks, strict=True))
    ]
    told: list[tuple[str, int, int]] = []
    dataset = dataset_of(*pairs)
    pack = pack_native(dataset, hashes=content_hashes(dataset), progress=lambda *step: told.append(step))
    assert told[-1][1:] == (3, 3)
    assert (pack.channels, pack.dtype, pack.broken, pack.undeclared) == (3, np.uint8, {}, {})
    assert pack.hw.tolist() == [list(hw) for hw in SHAPES]
    for row, (image, mask) in enumerate(zip(images, masks, strict=True)):
        np.testing.assert_array_equal(pack.image(row), image)
        np.testing.assert_array_equal(pack.mask(row), mask)
        assert pack.valid(row) is None
        assert pack.class_pixels[row].tolist() == [(mask == index).sum() for index in range(3)]
        assert pack.ignored[row] == (mask == IGNORE).sum()
        for index in range(3):
            np.testing.assert_array_equal(pack.places(row, index), np.flatnonzero(mask == index))
    with pytest.raises(ValueError, match="read-only"):
        pack.image(0)[0] = 0


def test_the_second_time_it_comes_from_the_cache_and_damage_is_mended(folder: Path) -> None:
    dataset = dataset_of(*((random_image(hw), random_mask(hw)) for hw in SHAPES))
    first = packed(dataset)
    place = folder / "cache" / "native-packs" / first.key
    written = (place / "facts.json").stat().st_mtime_ns
    assert packed(dataset).key == first.key
    assert (place / "facts.json").stat().st_mtime_ns == written
    for name in ("pixels.bin", "classes.bin", "places.bin", "hw.npy", "facts.json"):
        content = (place / name).read_bytes()
        (place / name).unlink()  # a file that is mapped keeps its content
        (place / name).write_bytes(content[:-3])
        again = packed(dataset)
        for row in range(3):
            np.testing.assert_array_equal(again.image(row), first.image(row))
            np.testing.assert_array_equal(again.mask(row), first.mask(row))


def test_its_key_is_made_of_images_masks_coding_and_bands() -> None:
    image, mask = random_image((8, 8)), random_mask((8, 8))
    keys = {
        packed(dataset_of((image, mask))).key,
        packed(dataset_of((255 - image, mask))).key,
        packed(dataset_of((image, random_mask((8, 8), seed=1)))).key,
        packed(dataset_of((image, mask), coding=MaskCoding("index", ((2,), (1,), (0,)), (255,)))).key,
        packed(dataset_of((image, mask)), bands=(3, 2, 1)).key,
    }
    assert len(keys) == 5
    assert packed(dataset_of((image.copy(), mask.copy()))).key in keys
    assert len(cache.entries()) >= 5


def test_what_cannot_be_used_is_noted_and_the_others_stay(folder: Path) -> None:
    image, mask = random_image((8, 8)), random_mask((8, 8))
    (folder / "text.png").write_text("no image")
    (folder / "short.png").write_bytes(saved(folder / "a.png", image).read_bytes()[:60])
    pack = packed(
        dataset_of(
            (folder / "text.png", mask),
            (image, mask),
            (image, random_mask((8, 9))),
            (folder / "short.png", mask),
            (image, folder / "nowhere.png"),
            (image, np.full((8, 8), 255, np.uint8)),
            (random_image((5, 6)), random_mask((5, 6))),
        )
    )
    assert pack.usable.tolist() == [1, 6]
    assert "text" in pack.broken[0]
    assert "9 x 8" in pack.broken[2]
    assert "8 x 8" in pack.broken[2]
    assert "no such file" in pack.broken[4]
    assert pack.broken[5] == "not one pixel of its mask has a class that counts"
    assert pack.hw[[0, 2, 3, 4, 5]].sum() == 0
    np.testing.assert_array_equal(pack.image(6), random_image((5, 6)))
    np.testing.assert_array_equal(pack.mask(6), random_mask((5, 6)))


def test_when_none_can_be_used_there_is_a_pack_all_the_same(folder: Path) -> None:
    pack = packed(dataset_of((folder / "nowhere.png", random_mask((8, 8)))))
    assert pack.usable.tolist() == []


def test_undeclared_values_are_ignored_and_counted() -> None:
    odd, even = np.zeros((6, 6), np.uint8), np.zeros((6, 6), np.uint8)
    odd[0, :3], odd[1, 0], even[5, 5] = 7, 9, 7
    pack = packed(dataset_of((random_image((6, 6)), odd), (random_image((6, 6)), even)))
    assert pack.undeclared == {7: (4, 2), 9: (1, 1)}
    assert pack.ignored.tolist() == [4, 1]
    assert pack.class_pixels.sum() == 72 - 5


def test_undeclared_colours_are_found_again_in_the_cache() -> None:
    coding = MaskCoding("colour", (((0, 0, 0),), ((255, 0, 0),), ((0, 0, 255),)))
    colours = np.zeros((6, 6, 3), np.uint8)
    colours[0], colours[1, 0] = (255, 0, 0), (1, 2, 3)
    for _ in range(2):
        pack = packed(dataset_of((random_image((6, 6)), colours), coding=coding))
        assert pack.undeclared == {(1, 2, 3): (1, 1)}
        assert pack.class_pixels.tolist() == [[29, 6, 0]]


@pytest.mark.parametrize("colour_first", [True, False])
def test_grey_stays_grey_until_a_colour_image_joins(folder: Path, colour_first: bool) -> None:
    grey, mask = random_image((8, 8))[..., 0], random_mask((8, 8))
    pairs = [(saved(folder / "grey.png", grey), mask), (saved(folder / "colour.png", random_image((8, 8))), mask)]
    assert packed(dataset_of(pairs[0])).channels == 1
    pack = packed(dataset_of(*(reversed(pairs) if colour_first else pairs)))
    assert pack.channels == 3
    np.testing.assert_array_equal(pack.image(1 if colour_first else 0), np.stack([grey] * 3, axis=2))


def test_rasters_keep_type_and_bands_and_no_data_has_no_class(folder: Path) -> None:
    bands = np.random.default_rng(0).uniform(-1, 1, (5, 12, 10)).astype(np.float32)
    bands[:, :3] = -9999
    bands[2, 7, 7] = np.nan
    mask = random_mask((12, 10))
    pairs = [
        (raster(folder / "a.tif", bands, nodata=-9999), mask),
        (raster(folder / "b.tif", bands[:, 3:7]), mask[3:7]),
    ]
    pack = packed(dataset_of(*pairs), bands=(5, 3))
    hole = np.zeros((12, 10), bool)
    hole[:3], hole[7, 7] = True, True
    valid = pack.valid(0)
    assert valid is not None
    np.testing.assert_array_equal(valid, ~hole)
    assert pack.valid(1) is None
    assert (pack.channels, pack.dtype) == (2, np.float32)
    np.testing.assert_array_equal(pack.image(0), np.where(hole[..., None], 0, bands[[4, 2]].transpose(1, 2, 0)))
    np.testing.assert_array_equal(pack.image(1), bands[[4, 2], 3:7].transpose(1, 2, 0))
    np.testing.assert_array_equal(pack.mask(0), np.where(hole, IGNORE, mask))
    assert pack.class_pixels[0].sum() == (mask[~hole] != IGNORE).sum()


def test_images_with_other_bands_or_types_are_named(folder: Path) -> None:
    def pairs(*rasters: NDArray[Any]) -> Dataset:
        paths = [raster(folder / f"{row}.tif", bands) for row, bands in enumerate(rasters)]
        return dataset_of(*((path, random_mask((8, 8))) for path in paths))

    four, five = np.ones((4, 8, 8), np.uint16), np.ones((5, 8, 8), np.uint16)
    with pytest.raises(UserError, match=r"0.png has 4 bands of uint16, 2.png has 5 bands of uint16[\s\S]*data.bands"):
        packed(pairs(four, four, five))
    assert packed(pairs(four, five), bands=(1, 4)).channels == 2
    with pytest.raises(UserError, match=r"0.tif: data.bands asks for 5"):
        packed(pairs(four, five), bands=(1, 5))
    with pytest.raises(UserError, match=r"4 bands of uint16, 1.png has 4 bands of float32"):
        packed(pairs(four, four.astype(np.float32)), bands=(1, 2))


@pytest.mark.skipif("CONVOLVE_TEST_DATA" not in os.environ, reason="CONVOLVE_TEST_DATA names no folder of data sets")
def test_camvid_pixel_shares_are_those_of_its_description() -> None:
    root = Path(os.environ["CONVOLVE_TEST_DATA"], "camvid")
    images = sorted((root / "train").glob("*.jpg"))[:40]
    samples = tuple(Sample(path.name, path, Mask(root / "trainannot" / f"{path.stem}.png")) for path in images)
    coding = MaskCoding("index", tuple((index,) for index in range(11)), ignored=(11,))
    pack = packed(Dataset("camvid", "pairs", tuple("abcdefghijk"), samples, coding=coding))
    assert pack.broken == {}
    assert pack.undeclared == {}
    assert (pack.hw == (360, 480)).all()
    by_pillow = [np.bincount(np.asarray(Image.open(one.target.source)).ravel(), minlength=12) for one in samples]
    np.testing.assert_array_equal(np.column_stack([pack.class_pixels, pack.ignored]), by_pillow)
