"""Predicting a GeoTIFF that no memory holds: peak memory, and megapixels a second.

    python benchmarks/large_raster.py                      20,000 x 20,000 pixels, 3 bands of uint8, labels only
    python benchmarks/large_raster.py --side 4000 --maps   smaller; with probabilities and uncertainty as well

The raster is written to a temporary folder, strip by strip: smooth noise, so that it compresses about as photos do. The
prediction runs in a process of its own, whose peak of resident memory is read when it has ended (getrusage), Python and
torch included. GDAL's cache of blocks is set by `convolve.data.rasters`.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window
from torch import Tensor, nn
from torch.nn import functional as F

from convolve.data.masks.palette import class_colours
from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.deploy.segmentation.model import SegmentationModel
from convolve.deploy.segmentation.pictures import raster_files
from convolve.networks.pixel_network import PixelNetwork
from convolve.randomness import torch_randomness
from convolve.training.compute import Compute

_CLASSES = ("impervious", "building", "low vegetation", "tree", "car", "clutter")
_STRIP = 512


class SmallEncoder(PixelNetwork):
    """Three convolutions down to stride 4, two at it, and bilinear back: about 2,300 multiplications a pixel."""

    stride = 4
    # 1 + 2 + 4 + 4 for the convolutions, one cell of 4 for the interpolation.
    reach = 16

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 64)
        strides = (2, 2, 1, 1)
        layers: list[nn.Module] = []
        for wide, wider, stride in zip(widths, widths[1:], strides, strict=False):
            layers += [nn.Conv2d(wide, wider, 3, stride=stride, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.scores = nn.Conv2d(widths[-1], len(_CLASSES), 1)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, 64, H / 4, W / 4)."""
        return (self.layers(images),)

    def score(self, encoded: tuple[Tensor, ...], image_hw: tuple[int, int]) -> Tensor:
        """(N, K, H, W)."""
        logits = F.interpolate(self.scores(encoded[0]), scale_factor=4.0, mode="bilinear", align_corners=False)
        return logits[:, :, : image_hw[0], : image_hw[1]]


def write_raster(path: Path, side: int) -> None:
    """A georeferenced GeoTIFF, (side, side), 3 bands of uint8."""
    generator = np.random.default_rng(0)
    shape = {"driver": "GTiff", "count": 3, "height": side, "width": side, "dtype": "uint8"}
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "bigtiff": "if_safer"}
    place = {"crs": "EPSG:32633", "transform": Affine(0.09, 0, 500_000, 0, -0.09, 5_000_000)}
    with rasterio.open(path, "w", **shape, **layout, **place) as file:
        for top in range(0, side, _STRIP):
            rows = min(_STRIP, side - top)
            coarse = generator.integers(0, 240, (3, rows // 16 + 1, side // 16 + 1), dtype=np.uint8)
            smooth = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :rows, :side]
            grain = generator.integers(0, 16, smooth.shape, dtype=np.uint8)
            file.write(smooth + grain, window=Window(0, top, side, rows))


def predict(image: Path, folder: Path, *, maps: bool, tile: int) -> None:
    """In a process of its own: predict, and say how fast it was and what it took."""
    with torch_randomness(0, "benchmark"):
        network = SmallEncoder()
    preprocessing = PixelPreprocessing(channels=3, low=(0.0,) * 3, high=(255.0,) * 3, mean=(0.5,) * 3, std=(0.25,) * 3)
    model = SegmentationModel(
        network, {}, _CLASSES, class_colours(len(_CLASSES)), preprocessing, 1.0, compute=Compute(channels_last=True)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    summary = model.segment_raster(image, raster_files(folder, "map", probabilities=maps, uncertainty=maps), tile=tile)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pixels = int(summary.pixels.sum())
    print(
        f"{pixels / 1e6:.0f} megapixels in {seconds:.0f} s: {pixels / 1e6 / seconds:.2f} a second; "
        f"peak {peak / 2**20:.2f} GiB ({before / 2**20:.2f} before the first tile), "
        f"{torch.get_num_threads()} threads, tiles of {tile}"
    )


def main() -> None:
    """Write the raster, and predict it in another process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--maps", action="store_true", help="write probabilities and uncertainty as well")
    parser.add_argument("--image", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.image:
        predict(given.image, given.image.parent, maps=given.maps, tile=given.tile)
        return
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "raster.tif"
        started = time.perf_counter()
        write_raster(image, given.side)
        print(
            f"raster: {given.side} x {given.side}, {image.stat().st_size / 1e6:.0f} MB, "
            f"written in {time.perf_counter() - started:.0f} s"
        )
        own = [sys.executable, __file__, "--image", str(image), "--tile", str(given.tile)]
        subprocess.run([*own, *(["--maps"] if given.maps else [])], check=True)  # noqa: S603 its own arguments


if __name__ == "__main__":
    main()
