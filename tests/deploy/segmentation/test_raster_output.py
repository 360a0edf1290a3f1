import resource
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning

from convolve.data.decoding import BrokenImage
from convolve.deploy.segmentation.model import SegmentationModel
from convolve.deploy.segmentation.pictures import raster_files
from convolve.errors import UserError
from convolve.randomness import torch_randomness
from deploy.segmentation.small_networks import ColourNetwork, preprocessing

CLASSES, COLOURS = ("road", "car", "tree"), ((255, 0, 0), (0, 255, 0), (0, 0, 255))
PLACE = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 500_000, 0, -0.25, 5_000_000)}


def model(channels: int = 3, high: float = 255) -> SegmentationModel:
    with torch_randomness(0, "test"):
        network = ColourNetwork(3, channels)
    return SegmentationModel(network, {}, CLASSES, COLOURS, preprocessing(channels, high=high), 1.0)


def write(path: Path, pixels: np.ndarray, **facts) -> Path:
    """(C, H, W) as a GeoTIFF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        count, height, width = pixels.shape
        shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
        with rasterio.open(path, "w", driver="GTiff", **shape, **facts) as file:
            file.write(pixels)
    return path


def noise(*shape: int, dtype: type = np.uint8, high: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def test_maps_lie_where_the_image_lies_and_say_what_segment_says(tmp_path):
    pixels = noise(4, 300, 410, dtype=np.uint16, high=10_000)
    pixels[:, 20:60, 100:200] = 0
    image = write(tmp_path / "scene.tif", pixels, nodata=0, **PLACE)
    judge = model(4, high=10_000)
    out = raster_files(tmp_path / "out", "scene", probabilities=True, uncertainty=True, spread=True)
    summary = judge.segment_raster(image, out, views="mirror", tile=64)
    said = judge.segment(image, views="mirror")

    for path in (out.labels, out.probabilities, out.entropy, out.spread):
        with rasterio.open(path) as file:
            assert file.crs == rasterio.CRS.from_epsg(32633)
            assert file.transform == PLACE["transform"]
            assert file.shape == (300, 410)
            assert file.profile["compress"] == "deflate"
            assert file.block_shapes[0] == (256, 256)
    with rasterio.open(out.labels) as file:
        assert file.nodata == 255
        assert np.array_equal(file.read(1), said.labels)
        assert [file.colormap(1)[index][:3] for index in range(3)] == list(COLOURS)
        assert [file.tags(1)[f"CLASS_{index}"] for index in range(3)] == list(CLASSES)
        assert np.array_equal(file.dataset_mask() > 0, said.valid)
    with rasterio.open(out.probabilities) as file:
        assert file.descriptions == CLASSES
        stored = file.read(masked=True) * np.array(file.scales)[:, None, None]
        assert np.array_equal(stored.mask.any(0), ~said.valid)
        np.testing.assert_allclose(stored.filled(np.nan), said.probabilities, atol=0.5 / 250 + 1e-6)
    with rasterio.open(out.entropy) as file:
        np.testing.assert_allclose(file.read(1), said.entropy, atol=1e-6)
    with rasterio.open(out.spread) as file:
        np.testing.assert_allclose(file.read(), [said.mutual_information, said.deviation], atol=1e-6)
    assert summary.no_data == 4000
    assert summary.pixels.tolist() == [np.count_nonzero(said.labels == index) for index in range(3)]
    assert summary.entropy == pytest.approx(np.nansum(said.entropy), rel=1e-4)


def test_ground_control_points_are_kept(tmp_path):
    points = [GroundControlPoint(0, 0, 10, 50), GroundControlPoint(0, 9, 11, 50), GroundControlPoint(9, 0, 10, 49)]
    image = write(tmp_path / "a.tif", noise(3, 10, 10), gcps=points, crs="EPSG:4326")
    out = raster_files(tmp_path / "out", "a")
    model().segment_raster(image, out)
    with rasterio.open(out.labels) as file:
        kept, crs = file.gcps
        assert [(point.row, point.col, point.x, point.y) for point in kept] == [
            (point.row, point.col, point.x, point.y) for point in points
        ]
        assert crs == rasterio.CRS.from_epsg(4326)


def test_a_picture_without_a_place_gives_maps_without(tmp_path):
    image = write(tmp_path / "a.tif", noise(3, 20, 30))
    out = raster_files(tmp_path / "out", "a")
    model().segment_raster(image, out)
    with pytest.warns(NotGeoreferencedWarning):
        file = rasterio.open(out.labels)
    with file:
        assert file.crs is None
        assert file.transform.is_identity


def test_a_damaged_image_leaves_the_old_maps_as_they_were(tmp_path):
    image = write(tmp_path / "a.tif", noise(3, 300, 300), **PLACE)
    image.write_bytes(image.read_bytes()[:150_000])
    out = raster_files(tmp_path / "out", "a", uncertainty=True)
    out.labels.write_text("old")
    with pytest.raises(BrokenImage, match="damaged or cut off"):
        model().segment_raster(image, out, tile=64)
    assert out.labels.read_text() == "old"
    assert [path.name for path in out.labels.parent.iterdir()] == ["a.tif"]
    assert not list(out.entropy.parent.iterdir())


@pytest.mark.parametrize("side", [300, 700])
@pytest.mark.parametrize("kept", [200, 0.3, 0.9, -5])
def test_a_disk_that_takes_only_a_part_leaves_the_old_maps_as_they_were(tmp_path, side, kept):
    """Small files are written as they are closed, where GDAL itself says nothing of a failure."""
    image = write(tmp_path / "a.tif", noise(3, side, side), **PLACE)
    out = raster_files(tmp_path / "out", "a")
    model().segment_raster(image, out)
    before = out.labels.read_bytes()
    most = int(kept * len(before)) if isinstance(kept, float) else kept % len(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        with pytest.raises(UserError, match="could not be written"):
            model().segment_raster(image, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert out.labels.read_bytes() == before
    assert [path.name for path in out.labels.parent.iterdir()] == ["a.tif"]


def test_wrong_bands_and_spread_without_members_are_refused_before_anything_is_written(tmp_path):
    image = write(tmp_path / "a.tif", noise(5, 20, 30), **PLACE)
    out = raster_files(tmp_path / "out", "a", spread=True)
    with pytest.raises(UserError, match="5 bands, and the model was trained on 3"):
        model().segment_raster(image, out, views="mirror")
    with pytest.raises(UserError, match="more than one opinion"):
        model(5).segment_raster(image, out)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_memory_does_not_grow_with_the_height(tmp_path):
    image = tmp_path / "long.tif"
    shape = {"driver": "GTiff", "count": 3, "height": 6000, "width": 500, "dtype": "uint8", "compress": "deflate"}
    with rasterio.open(image, "w", **shape, **PLACE) as file:
        for top in range(0, 6000, 1000):
            file.write(noise(3, 1000, 500), window=rasterio.windows.Window(0, top, 500, 1000))
    tracemalloc.start()
    held = []

    def progress(what: str, done: int, total: int) -> None:
        held.append(tracemalloc.get_traced_memory()[0])

    model().segment_raster(image, raster_files(tmp_path / "out", "a", uncertainty=True), tile=256, progress=progress)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # NumPy's share: blocks of the files and strips; 6000 x 500 labels and entropies alone would be 15 MB.
    assert peak < 8e6
    assert np.ptp(held[len(held) // 2 :]) < 4e6
