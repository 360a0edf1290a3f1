"""Maps of an image of any size as GeoTIFFs that lie where the image lies.

- Labels: one band of uint8, class indices, 255 (declared as nodata) where there is none; a colour table; the names as
  the band's tags CLASS_0, CLASS_1, ...
- Probabilities: a band of uint8 for each class, described by its name; steps of 1/250 (declared as the band's scale),
  255 = no data. float32 would take four times the space for digits that no network knows.
- Uncertainty: bands of float32, NaN = no data: predictive entropy; and of the spread mutual information and deviation.

Files are tiled and deflated, with 64-bit offsets where they may exceed 4 GB, and whole or absent.
"""

import importlib.util
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import IGNORE
from convolve.deploy.segmentation.maps import Strip
from convolve.deploy.segmentation.summary import MapSummary, summarise
from convolve.errors import UserError
from convolve.run.files import atomic_path

_BLOCK = 256
_STEPS = 250


@dataclass(frozen=True, slots=True)
class RasterFiles:
    """What is written where; None = not at all.

    Attributes:
        labels: class indices.
        probabilities: a band for each class.
        entropy: predictive entropy, nats.
        spread: mutual information, nats, and deviation, two bands; takes passes or views.
    """

    labels: Path
    probabilities: Path | None = None
    entropy: Path | None = None
    spread: Path | None = None


@dataclass(frozen=True, slots=True)
class _Layer:
    """One file: how a strip fills its bands, and what it says of them."""

    path: Path
    dtype: str
    nodata: float
    bands: tuple[str, ...]
    values: Callable[[Strip], NDArray[Any]]


def write_raster(
    files: RasterFiles,
    strips: Iterable[Strip],
    *,
    like: Path,
    hw: tuple[int, int],
    classes: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
) -> MapSummary:
    """Write maps strip by strip, with the georeference of the image they are of.

    Args:
        files: those wanted.
        strips: from the top down, covering the image.
        like: the image; what it says of its place (coordinate system with transform, ground control points, rational
            polynomials) is kept. A picture that says nothing gives files that say nothing.
        hw: its height and width.
        classes: names.
        colours: of the classes.

    Returns:
        What the maps come to.

    Raises:
        UserError: rasterio is missing, or the files cannot be written; the old ones are untouched then.
    """
    if importlib.util.find_spec("rasterio") is None:
        raise UserError("GeoTIFFs are written by rasterio, which is not installed", 'pip install "convolve[geo]"')
    from rasterio.errors import RasterioError

    place = _place_of(like)
    summary = MapSummary(np.zeros(len(classes), np.int64), 0, 0.0, 0.0)
    with ExitStack() as stack:
        # Entered first, so that files close before any of them gets its name.
        layers = [(layer, stack.enter_context(atomic_path(layer.path))) for layer in _layers(files, classes)]
        try:
            with ExitStack() as opened:
                writers = [
                    _BlockRows(opened.enter_context(_created(layer, aside, hw, place)), layer)
                    for layer, aside in layers
                ]
                _describe_labels(writers[0].file, classes, colours)
                for strip in strips:
                    summary += summarise(strip, len(classes))
                    for writer in writers:
                        writer.add(strip)
                for writer in writers:
                    writer.flush()
            for writer, (_, aside) in zip(writers, layers, strict=True):
                writer.check(aside)
        except RasterioError as error:
            # GDAL does not tell a full disk from other reasons.
            raise UserError(
                f"{files.labels}: it could not be written ({error.__cause__ or error})",
                "See that there is space left on the device, and that the folder is yours; nothing was changed.",
            ) from error
    return summary


def _layers(files: RasterFiles, classes: Sequence[str]) -> list[_Layer]:
    layers = [_Layer(files.labels, "uint8", IGNORE, ("class",), lambda strip: strip.labels[None])]
    if files.probabilities:
        layers.append(_Layer(files.probabilities, "uint8", 255, tuple(classes), _in_steps))
    if files.entropy:
        layers.append(
            _Layer(files.entropy, "float32", np.nan, ("predictive entropy, nats",), lambda strip: strip.entropy[None])
        )
    if files.spread:
        names = ("mutual information, nats", "standard deviation of the probabilities")
        layers.append(_Layer(files.spread, "float32", np.nan, names, _spread))
    return layers


def _in_steps(strip: Strip) -> NDArray[np.uint8]:
    scaled = np.rint(np.nan_to_num(strip.probabilities) * _STEPS).astype(np.uint8)
    scaled[:, ~strip.valid] = 255
    return scaled


def _spread(strip: Strip) -> NDArray[np.float32]:
    assert strip.mutual_information is not None  # noqa: S101
    assert strip.deviation is not None  # noqa: S101
    return np.stack([strip.mutual_information, strip.deviation])


class _BlockRows:
    """A file that is written by whole rows of its blocks, so that each is compressed once, however strips lie."""

    def __init__(self, file: Any, layer: _Layer) -> None:
        self.file = file
        self._values = layer.values
        self._rows = np.empty((file.count, _BLOCK, file.width), layer.dtype)
        self._top, self._filled = 0, 0
        self._checksums: list[int] = []

    def add(self, strip: Strip) -> None:
        values = self._values(strip)
        taken = 0
        while taken < values.shape[1]:
            count = min(values.shape[1] - taken, _BLOCK - self._filled)
            self._rows[:, self._filled : self._filled + count] = values[:, taken : taken + count]
            self._filled += count
            taken += count
            if self._filled == _BLOCK:
                self.flush()

    def flush(self) -> None:
        if self._filled:
            from rasterio.windows import Window

            window = Window(0, self._top, self.file.width, self._filled)
            values = np.ascontiguousarray(self._rows[:, : self._filled])
            self.file.write(values, window=window)
            self._checksums.append(zlib.crc32(values.data))
            self._top, self._filled = self._top + self._filled, 0

    def check(self, path: Path) -> None:
        """Read back what was written: GDAL writes much of it on closing, and then says nothing if that fails."""
        import rasterio
        from rasterio.errors import RasterioIOError
        from rasterio.windows import Window

        with _no_georeference_is_well():
            file = rasterio.open(path)
        with file:
            for number, checksum in enumerate(self._checksums):
                rows = min(_BLOCK, file.height - number * _BLOCK)
                values = file.read(window=Window(0, number * _BLOCK, file.width, rows))
                if zlib.crc32(np.ascontiguousarray(values).data) != checksum:
                    raise RasterioIOError("what is in the file is not what was written")


@contextmanager
def _created(layer: _Layer, aside: Path, hw: tuple[int, int], place: Mapping[str, Any]) -> Iterator[Any]:
    import rasterio

    with _no_georeference_is_well():
        file = rasterio.open(
            aside,
            "w",
            driver="GTiff",
            height=hw[0],
            width=hw[1],
            count=len(layer.bands),
            dtype=layer.dtype,
            nodata=layer.nodata,
            tiled=True,
            blockxsize=_BLOCK,
            blockysize=_BLOCK,
            compress="deflate",
            predictor=3 if layer.dtype == "float32" else 1,
            interleave="band",
            bigtiff="if_safer",
            **place,
        )
    with file:
        for number, name in enumerate(layer.bands, start=1):
            file.set_band_description(number, name)
        if layer.values is _in_steps:
            file.scales = (1 / _STEPS,) * len(layer.bands)
        yield file


def _describe_labels(file: Any, classes: Sequence[str], colours: Sequence[tuple[int, int, int]]) -> None:
    file.write_colormap(1, {index: (*colour, 255) for index, colour in enumerate(colours)} | {IGNORE: (0, 0, 0, 0)})
    file.update_tags(1, **{f"CLASS_{index}": name for index, name in enumerate(classes)})


def _place_of(image: Path) -> dict[str, Any]:
    """What an image says of its place, in the words of `rasterio.open`."""
    import rasterio
    from rasterio.errors import RasterioError

    with _no_georeference_is_well():
        try:
            with rasterio.open(image) as file:
                points, points_crs = file.gcps
                place: dict[str, Any] = {}
                if not file.transform.is_identity:
                    place = {"crs": file.crs, "transform": file.transform}
                elif points:
                    place = {"crs": points_crs, "gcps": points}
                if file.rpcs:
                    place["rpcs"] = file.rpcs
        except RasterioError:  # pictures that Pillow reads and GDAL does not have no place
            return {}
    return place


@contextmanager
def _no_georeference_is_well() -> Iterator[None]:
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
