import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from numpy.typing import NDArray
from PIL import Image

from convolve.data.decoding import BrokenImage, decode
from convolve.data.rasters import describe_raster, is_raster, open_source, read_pixels
from convolve.errors import UserError

PLACE = Affine(0.25, 0, 600_000, 0, -0.25, 6_640_000)


def values(bands: int, dtype: str, hw: tuple[int, int] = (20, 30)) -> NDArray[Any]:
    drawn = np.random.default_rng(0).uniform(1, 120, (bands, *hw))
    return drawn.astype(dtype)


def write(path: Path, bands: NDArray[Any], mask: NDArray[Any] | None = None, **profile: Any) -> Path:
    facts = {"transform": PLACE, "crs": "EPSG:32632"} | profile
    shape = {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", dtype=bands.dtype, **shape, **facts) as file:
        file.write(bands)
        if mask is not None:
            file.write_mask(mask)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_a_raster_comes_out_as_it_was_written(tmp_path: Path, dtype: str) -> None:
    bands = values(5, dtype)
    read = read_pixels(write(tmp_path / "a.tif", bands))
    assert read.pixels.dtype == dtype
    assert read.valid is None
    np.testing.assert_array_equal(read.pixels, bands.transpose(1, 2, 0))


def test_a_scientific_tiff_without_a_place_is_read_and_has_none(tmp_path: Path) -> None:
    image = values(1, "uint16")[0]
    tifffile.imwrite(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif").pixels[..., 0], image)
    facts = describe_raster(tmp_path / "a.tif")
    assert (facts.hw, facts.bands, facts.dtype) == ((20, 30), 1, "uint16")
    assert (facts.crs, facts.transform, facts.nodata) == (None, None, None)


def test_the_header_gives_the_georeference_back(tmp_path: Path) -> None:
    facts = describe_raster(write(tmp_path / "a.tif", values(4, "int16"), nodata=-5))
    assert (facts.hw, facts.bands, facts.dtype, facts.nodata) == ((20, 30), 4, "int16", -5)
    assert facts.transform == PLACE
    assert rasterio.CRS.from_wkt(facts.crs).to_epsg() == 32632


def test_a_place_without_a_coordinate_system_is_kept_and_one_without_a_transform_is_none(tmp_path: Path) -> None:
    facts = describe_raster(write(tmp_path / "a.tif", values(4, "int16"), crs=None))
    assert (facts.crs, facts.transform) == (None, PLACE)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write(tmp_path / "b.tif", values(4, "int16"), transform=Affine.identity())
    facts = describe_raster(tmp_path / "b.tif")
    assert (facts.crs, facts.transform) == (None, None)


def test_bands_are_counted_from_one_and_come_in_the_order_asked_for(tmp_path: Path) -> None:
    bands = values(5, "float32")
    read = read_pixels(write(tmp_path / "a.tif", bands), bands=(4, 2))
    np.testing.assert_array_equal(read.pixels, bands[[3, 1]].transpose(1, 2, 0))
    photo = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_pixels(photo, bands=[3]).pixels, photo[..., 2:])


@pytest.mark.parametrize("bands", [[6], [0], [1, 9], []])
def test_a_band_that_is_not_there_is_named(tmp_path: Path, bands: Sequence[int]) -> None:
    path = write(tmp_path / "a.tif", values(5, "uint8"))
    with pytest.raises(UserError, match=r"a.tif: data.bands asks for (6|0|9|none), and the bands are 1 to 5"):
        read_pixels(path, bands=bands)


def test_no_data_is_where_no_band_has_any(tmp_path: Path) -> None:
    bands = values(3, "int16")
    bands[:, :4] = -9999
    bands[0, 10, 10] = -9999  # one band alone: a value like others
    valid = read_pixels(write(tmp_path / "a.tif", bands, nodata=-9999)).valid
    expected = np.ones((20, 30), bool)
    expected[:4] = False
    np.testing.assert_array_equal(valid, expected)
    with rasterio.open(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(valid, file.dataset_mask() > 0)


def test_a_value_that_is_no_number_is_no_data(tmp_path: Path) -> None:
    bands = values(3, "float32")
    bands[1, 5, 6], bands[2, 0, 0] = np.nan, np.inf
    valid = read_pixels(write(tmp_path / "a.tif", bands)).valid
    assert valid is not None
    assert np.argwhere(~valid).tolist() == [[0, 0], [5, 6]]


def test_alpha_and_mask_bands_are_no_channels_but_say_where_there_is_no_data(tmp_path: Path) -> None:
    rgba = values(4, "uint8")
    rgba[3] = 255
    rgba[3, :, :7] = 0
    with_alpha = read_pixels(write(tmp_path / "a.tif", rgba, photometric="rgb", alpha="yes"))
    mask = np.where(np.arange(30) < 7, 0, 255).astype(np.uint8) * np.ones((20, 1), np.uint8)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with_mask = read_pixels(write(tmp_path / "b.tif", rgba[:3], mask=mask, photometric="rgb"))
    for read in (with_alpha, with_mask):
        np.testing.assert_array_equal(read.pixels, rgba[:3].transpose(1, 2, 0))
        np.testing.assert_array_equal(read.valid, mask > 0)


@pytest.mark.parametrize("tiled", [True, False])
def test_windows_are_cut_out_of_the_whole(tmp_path: Path, tiled: bool) -> None:
    bands = values(3, "uint16", (100, 130))
    bands[:, 40:60, 40:60] = 0
    layout = {"blockxsize": 32, "blockysize": 32} if tiled else {}
    path = write(tmp_path / "a.tif", bands, nodata=0, tiled=tiled, **layout)
    whole = read_pixels(path, bands=(3, 1))
    assert whole.valid is not None
    with open_source(path, bands=(3, 1)) as source:
        assert (source.hw, source.bands, source.dtype) == ((100, 130), 2, "uint16")
        for top, left, height, width in [(0, 0, 100, 130), (30, 50, 33, 17), (99, 129, 1, 1)]:
            pixels, valid = source.read(top, left, height, width)
            np.testing.assert_array_equal(pixels, whole.pixels[top : top + height, left : left + width])
            np.testing.assert_array_equal(valid, whole.valid[top : top + height, left : left + width])


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_ordinary_images_are_decoded_as_everywhere(tmp_path: Path, name: str, mode: str) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    path = tmp_path / name
    Image.fromarray(colours).convert(mode).save(path)
    channels = len(mode)
    assert not is_raster(path)
    np.testing.assert_array_equal(read_pixels(path).pixels, decode(path, channels=1 if channels == 1 else 3))
    facts = describe_raster(path)
    assert (facts.hw, facts.bands, facts.dtype) == ((10, 14), channels, "uint8")


def test_a_photo_that_lies_on_its_side_is_described_upright(tmp_path: Path) -> None:
    image, note = Image.new("RGB", (12, 5)), Image.Exif()
    note[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=note)
    assert describe_raster(tmp_path / "a.jpg").hw == (12, 5)
    assert read_pixels(tmp_path / "a.jpg").pixels.shape == (12, 5, 3)


def test_a_world_file_makes_a_tiff_a_raster(tmp_path: Path) -> None:
    Image.new("RGB", (12, 5)).save(tmp_path / "a.tif")
    assert describe_raster(tmp_path / "a.tif").transform is None
    (tmp_path / "a.tfw").write_text("0.5\n0\n0\n-0.5\n1000.25\n1999.75\n")
    assert describe_raster(tmp_path / "a.tif").transform == Affine(0.5, 0, 1000, 0, -0.5, 2000)


def test_arrays_are_images_or_bands() -> None:
    rgba = np.full((4, 5, 4), 255, np.uint8)
    rgba[..., :3], rgba[..., 3] = 0, 0
    assert read_pixels(rgba).pixels.tolist() == np.full((4, 5, 3), 255).tolist()
    assert describe_raster(rgba).bands == 3
    assert read_pixels(rgba, bands=(1, 2, 3, 4)).pixels.shape == (4, 5, 4)
    assert read_pixels(np.zeros((4, 5, 8), np.uint16)).pixels.shape == (4, 5, 8)
    assert read_pixels(np.zeros((4, 5), np.float32)).pixels.shape == (4, 5, 1)


@pytest.mark.parametrize("dtype", ["complex64", "int64", "uint64"])
def test_types_that_no_network_takes_are_refused(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "a.tif", np.ones((2, 4, 4), dtype))
    for image in (path, np.ones((4, 4, 2), dtype)):
        for work in (read_pixels, describe_raster):
            with pytest.raises(BrokenImage, match=f"its values are {dtype}: save it with whole numbers of at most 32"):
                work(image)


def test_a_colour_table_is_not_taken_for_brightness(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", values(1, "uint8"), photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (255, 0, 0, 255), 1: (0, 255, 0, 255)})
    with pytest.raises(BrokenImage, match="numbers of a colour table: save it as RGB"):
        read_pixels(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.98])
@pytest.mark.parametrize("compress", [None, "deflate"])
def test_a_raster_cut_off_anywhere_is_broken(tmp_path: Path, share: float, compress: str | None) -> None:
    path = write(tmp_path / "a.tif", values(5, "uint16", (64, 64)), compress=compress)
    content = path.read_bytes()
    path.write_bytes(content[: max(8, int(share * len(content)))])
    with pytest.raises(BrokenImage, match="damaged"):
        read_pixels(path)


def test_without_rasterio_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tif", values(5, "uint16"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BrokenImage, match=r'pip install "convolve\[geo\]"'):
        read_pixels(path)


@pytest.mark.skipif("CONVOLVE_TEST_DATA" not in os.environ, reason="CONVOLVE_TEST_DATA names no folder of data sets")
def test_a_satellite_image_keeps_its_size_through_a_geotiff(tmp_path: Path) -> None:
    photo = next(Path(os.environ["CONVOLVE_TEST_DATA"], "dubai-aerial", "Tile 8", "images").glob("*.jpg"))
    pixels = read_pixels(photo).pixels
    path = write(tmp_path / "a.tif", pixels.transpose(2, 0, 1), compress="deflate", tiled=True)
    assert describe_raster(path).hw == describe_raster(photo).hw == pixels.shape[:2]
    np.testing.assert_array_equal(read_pixels(path).pixels, pixels)
