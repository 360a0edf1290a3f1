"""All images of a data set with boxes at a detector's scale: decoded once, kept on disk, read by slices."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from convolve.data.box_preprocessing import resize_to_side
from convolve.data.boxes.targets import box_rows
from convolve.data.cache import discard, store
from convolve.data.dataset import Boxes, Dataset, ImageArray, Sample
from convolve.data.decoding import POLICY, BrokenImage, Channels, decode_with_facts
from convolve.data.rasters import describe_raster
from convolve.progress import Progress, silent

_KIND = "scaled-packs"
_LAYOUT = 1
_AT_ONCE = 32

WantedChannels: TypeAlias = Literal["auto", 1, 3]


@dataclass(frozen=True, slots=True)
class ScaledPack:
    """The images and boxes of a data set, row by row as its samples; pixels are read-only and mapped from disk.

    Attributes:
        hw: (N, 2) int64, height and width of each image at the network's input, pixels; 0 where it cannot be read.
        original_hw: (N, 2) int64, of the upright image in its file.
        channels: C of all images, 1 or 3.
        broken: why an image or its boxes cannot be used, by row.
        key: the same for the same pixels, whatever the boxes.
    """

    hw: NDArray[np.int64]
    original_hw: NDArray[np.int64]
    channels: Channels
    broken: dict[int, str]
    key: str
    _pixels: ImageArray
    _starts: NDArray[np.int64]
    _boxes: tuple[Tensor, ...]

    @property
    def usable(self) -> NDArray[np.int64]:
        """The rows that are not broken, ascending."""
        return np.array([row for row in range(len(self.hw)) if row not in self.broken], np.int64)

    def image(self, row: int) -> ImageArray:
        """(h, w, C) uint8 at the network's input."""
        start, end = self._starts[row : row + 2]
        return self._pixels[start:end].reshape(*self.hw[row], self.channels)

    def boxes(self, row: int) -> Tensor:
        """(m, 6) float32 rows of `data.boxes.targets`, in pixels of the network's input; not to be changed."""
        return self._boxes[row]


def pack_scaled(
    dataset: Dataset,
    *,
    hashes: Sequence[str],
    side: int,
    channels: WantedChannels = "auto",
    progress: Progress = silent,
) -> ScaledPack:
    """Decode and resize every image, or find them in the cache.

    An image cannot be used, and is noted as broken, if it cannot be read, if it has no boxes (not even none), or if
    they are for an image of another size.

    Args:
        dataset: N samples with boxes.
        hashes: the samples' `content_hashes`, by which the cache knows the images.
        side: of `BoxPreprocessing`.
        channels: 1 grey, 3 RGB; "auto" = 1 if every file is grey, else 3.
        progress: told how many images are decoded.

    Raises:
        UserError: the cache folder has no room.
    """
    key = _key(hashes, side, channels)

    def write(folder: Path) -> None:
        _write(folder, dataset, side, channels, progress)

    folder = store(_KIND, key, write)
    try:
        return _load(folder, dataset, key)
    except (OSError, EOFError, ValueError, LookupError, TypeError):  # damaged on disk
        discard(_KIND, key)
        return _load(store(_KIND, key, write), dataset, key)


def channel_statistics(pack: ScaledPack, rows: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of some images, values in [0, 1].

    Pixels are counted, so the answer depends on no order.

    Args:
        pack: the images.
        rows: (M,) those for training, at least one.
    """
    counts = np.zeros((pack.channels, 256), np.int64)
    for row in rows.tolist():
        image = pack.image(row)
        # Pillow counts without a copy in a wider type, which NumPy makes.
        histogram = Image.fromarray(image[..., 0] if pack.channels == 1 else image).histogram()
        counts += np.array(histogram, np.int64).reshape(pack.channels, 256)
    levels = np.arange(256) / 255
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(axis=1))
    return tuple(mean.tolist()), tuple(std.tolist())


def _key(hashes: Sequence[str], side: int, channels: WantedChannels) -> str:
    facts = [_LAYOUT, POLICY, PIL.__version__, side, channels, list(hashes)]
    return blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


def _write(folder: Path, dataset: Dataset, side: int, channels: WantedChannels, progress: Progress) -> None:
    chosen = _all_grey_or_colour(dataset) if channels == "auto" else channels
    count = len(dataset.samples)
    original_hw = np.zeros((count, 2), np.int64)
    hw = np.zeros((count, 2), np.int64)
    broken: dict[int, str] = {}
    # Written, not mapped: on a full disk a write raises an error, where a mapped page would kill the process.
    with (folder / "pixels.bin").open("wb") as file:
        for row, one in enumerate(_read_all(dataset.samples, side, chosen)):
            if isinstance(one, BrokenImage):
                broken[row] = str(one)
            else:
                original_hw[row] = one[1]
                hw[row] = one[0].shape[:2]
                file.write(np.ascontiguousarray(one[0]).data)
            progress("decoding images", row + 1, count)
    np.save(folder / "hw.npy", hw)
    np.save(folder / "original_hw.npy", original_hw)
    (folder / "facts.json").write_text(json.dumps({"channels": chosen, "broken": broken}), encoding="utf-8")


def _all_grey_or_colour(dataset: Dataset) -> Channels:
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return 3 if any(threads.map(_has_colour, dataset.samples)) else 1


def _has_colour(sample: Sample) -> bool:
    try:
        return describe_raster(sample.image).bands > 1
    except BrokenImage:
        return False  # decoding it will say why


def _read_all(
    samples: Sequence[Sample], side: int, channels: Channels
) -> Iterator[tuple[ImageArray, tuple[int, int]] | BrokenImage]:
    """Each image at its new size, with the height and width it had."""

    def read(sample: Sample) -> tuple[ImageArray, tuple[int, int]] | BrokenImage:
        try:
            decoded = decode_with_facts(sample.image, channels=channels)
        except BrokenImage as reason:
            return reason
        return resize_to_side(decoded.pixels, side), decoded.original_hw

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(samples), _AT_ONCE):
            yield from threads.map(read, samples[start : start + _AT_ONCE])


def _load(folder: Path, dataset: Dataset, key: str) -> ScaledPack:
    """The pack in a folder.

    Raises:
        ValueError, and others: it is not what `_write` leaves for so many samples.
    """
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    hw, original_hw = np.load(folder / "hw.npy"), np.load(folder / "original_hw.npy")
    count = len(dataset.samples)
    channels: Channels = 1 if facts["channels"] == 1 else 3
    if hw.shape != (count, 2) or original_hw.shape != (count, 2):
        raise ValueError(f"cache entry {folder} does not hold what its key says")
    starts = np.concatenate([[0], np.cumsum(hw.prod(axis=1) * channels)]).astype(np.int64)
    path = folder / "pixels.bin"
    if path.stat().st_size != starts[-1]:
        raise ValueError(f"{path} is not of the size that its table says")
    broken = {int(row): str(reason) for row, reason in facts["broken"].items()}
    for row, sample in enumerate(dataset.samples):
        if row not in broken and (reason := _mismatch(sample, original_hw[row].tolist())):
            broken[row] = reason
    return ScaledPack(
        hw=hw,
        original_hw=original_hw,
        channels=channels,
        broken=dict(sorted(broken.items())),
        key=key,
        # An empty file cannot be mapped.
        _pixels=np.memmap(path, np.uint8, mode="r") if starts[-1] else np.empty(0, np.uint8),
        _starts=starts,
        _boxes=tuple(_scaled_rows(sample, original_hw[row], hw[row]) for row, sample in enumerate(dataset.samples)),
    )


def _mismatch(sample: Sample, hw: list[int]) -> str:
    """Why the boxes cannot be those of an image of this height and width; "" where they can."""
    if not isinstance(sample.target, Boxes):
        return "it has no boxes"
    height, width = sample.target.hw
    if [height, width] == hw:
        return ""
    return f"its boxes are for an image of {width} x {height} pixels, and it has {hw[1]} x {hw[0]}"


def _scaled_rows(sample: Sample, original_hw: NDArray[np.int64], hw: NDArray[np.int64]) -> Tensor:
    rows = box_rows(sample.target if isinstance(sample.target, Boxes) else Boxes((0, 0), ()))
    (height, width), (h, w) = original_hw.clip(min=1).tolist(), hw.tolist()
    rows[:, 0:4:2] *= w / width
    rows[:, 1:4:2] *= h / height
    return rows
