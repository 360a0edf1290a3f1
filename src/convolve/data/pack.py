"""All images of a data set in a network's shape: decoded once, kept on disk, read as one array."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from convolve.data.cache import discard, store
from convolve.data.dataset import Dataset, ImageArray, Problem, class_counts
from convolve.data.decoding import POLICY, BrokenImage, Decoded, decode_with_facts
from convolve.data.preprocessing import Preprocessing
from convolve.data.resizing import fit_image, fit_stack
from convolve.errors import UserError, shown
from convolve.progress import Progress, silent

_KIND = "packs"
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Pack:
    """The images of a data set, row by row as its samples.

    Attributes:
        images: (N, H, W, C) uint8, read-only and mapped from disk; a broken image is all padding colour.
        broken: why an image cannot be used, by row.
        original_hw: (N, 2) int32, height and width of the upright image before it was fitted, pixels; 0 where broken.
        colours: how each file stores its pixels, in Pillow's words ("L", "RGB", "P", "CMYK", "I;16", ...); "" where
            broken.
        key: the same for the same pixels.
    """

    images: ImageArray
    broken: dict[int, str]
    original_hw: NDArray[np.int32]
    colours: tuple[str, ...]
    key: str

    @property
    def usable(self) -> NDArray[np.int64]:
        """The rows that are not broken, ascending."""
        return np.array([row for row in range(len(self.images)) if row not in self.broken], np.int64)


def prepare_image(image: Path | ImageArray, preprocessing: Preprocessing) -> Decoded:
    """One image as a pack has it, to the bit.

    Returns:
        Its `pixels` are (H, W, C) uint8 in the network's shape, not yet normalised.

    Raises:
        BrokenImage: it cannot be used; the message says why.
    """
    decoded = _decode(image, preprocessing)
    return Decoded(fit_image(decoded.pixels, preprocessing), decoded.original_hw, decoded.colour)


def pack(dataset: Dataset, preprocessing: Preprocessing, *, hashes: Sequence[str], progress: Progress = silent) -> Pack:
    """Decode and fit every image, or find them in the cache.

    Args:
        dataset: N samples.
        preprocessing: the shape; of mean and std only the padding's colour matters.
        hashes: the samples' `content_hashes`, by which the cache knows them.
        progress: told how many images are decoded.

    Raises:
        UserError: the cache folder has no room.
    """
    key = _key(preprocessing, hashes)
    count = len(dataset.samples)
    shape = (count, *preprocessing.image_hw, preprocessing.channels)

    def write(folder: Path) -> None:
        _write(folder, dataset, preprocessing, progress)

    folder = store(_KIND, key, write, needed=prod(shape))
    try:
        return _load(folder, shape, key)
    except (OSError, EOFError, ValueError, LookupError, TypeError):  # damaged on disk
        discard(_KIND, key)
        return _load(store(_KIND, key, write, needed=prod(shape)), shape, key)


def drop_broken(dataset: Dataset, pack: Pack) -> tuple[Dataset, NDArray[np.int64]]:
    """The data set without its broken images, each noted as a problem.

    Returns:
        The data set, and the rows of the pack that its samples have now, (M,) int64.

    Raises:
        UserError: not one image of some class, or of all, is left.
    """
    reasons = [f"{dataset.samples[row].name}: {reason}" for row, reason in sorted(pack.broken.items())]
    rows = pack.usable
    if len(rows) == 0:
        raise UserError(
            f"{dataset.name}: none of the {len(dataset.samples)} images can be used: {shown(reasons)}",
            "Save them as JPEG or PNG, or name another folder.",
        )
    problems = [Problem(dataset.samples[row].name, reason) for row, reason in sorted(pack.broken.items())]
    left = dataset.keep(rows, problems)
    before, after = (class_counts(some.samples, len(dataset.classes)) for some in (dataset, left))
    lost = [dataset.classes[index] for index in np.flatnonzero((before > 0) & (after == 0))]
    if lost:
        raise UserError(
            f"{dataset.name}: no image of class {shown(lost)} can be used: {shown(reasons)}",
            "Replace these files, or leave the class out.",
        )
    return left, rows


def channel_statistics(images: ImageArray, rows: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of some images, values in [0, 1].

    Sums are whole numbers, so the answer is exact and depends on no order.

    Args:
        images: (N, H, W, C) uint8.
        rows: (M,) int64, at least one.
    """
    channels = images.shape[3]
    total, squares = np.zeros(channels, np.uint64), np.zeros(channels, np.uint64)
    levels = np.arange(256, dtype=np.uint64)
    for start in range(0, len(rows), _AT_ONCE):
        some = images[rows[start : start + _AT_ONCE]]
        for channel in range(channels):
            counts = np.bincount(some[..., channel].ravel(), minlength=256).astype(np.uint64)
            total[channel] += (counts * levels).sum()
            squares[channel] += (counts * levels**2).sum()
    pixels = len(rows) * images.shape[1] * images.shape[2]
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0.0))
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def _key(preprocessing: Preprocessing, hashes: Sequence[str]) -> str:
    facts = [POLICY, PIL.__version__, preprocessing.image_hw, preprocessing.fit, preprocessing.channels]
    told = json.dumps([facts, preprocessing.fill, list(hashes)])
    return blake2b(told.encode(), digest_size=16).hexdigest()


def _decode(image: Path | ImageArray, preprocessing: Preprocessing) -> Decoded:
    height, width = preprocessing.image_hw
    # Twice what is needed leaves the last step to the bicubic filter, which a JPEG's own reduction is no match for.
    return decode_with_facts(image, channels=preprocessing.channels, at_least_hw=(2 * height, 2 * width))


def _write(folder: Path, dataset: Dataset, preprocessing: Preprocessing, progress: Progress) -> None:
    count = len(dataset.samples)
    shape = (count, *preprocessing.image_hw, preprocessing.channels)
    original_hw = np.zeros((count, 2), np.int32)
    colours: list[str] = []
    broken: dict[int, str] = {}
    # Written, not mapped: on a full disk a write raises an error, where a mapped page would kill the process.
    with (folder / "images.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for prepared in _prepared(dataset, preprocessing):
            for one in prepared:
                row = len(colours)
                if isinstance(one, BrokenImage):
                    broken[row] = str(one)
                    file.write(_plain(preprocessing))
                else:
                    original_hw[row] = one.original_hw
                    file.write(np.ascontiguousarray(one.pixels).data)
                colours.append("" if isinstance(one, BrokenImage) else one.colour)
            progress("decoding images", len(colours), count)
    np.save(folder / "original_hw.npy", original_hw)
    facts = {"broken": broken, "colours": colours}
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _prepared(dataset: Dataset, preprocessing: Preprocessing) -> Iterator[Sequence[Decoded | BrokenImage]]:
    def prepare(image: Path | ImageArray) -> Decoded | BrokenImage:
        try:
            return prepare_image(image, preprocessing)
        except BrokenImage as reason:
            return reason

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(dataset.samples), _AT_ONCE):
            images = [sample.image for sample in dataset.samples[start : start + _AT_ONCE]]
            yield _prepare_stack(images, preprocessing) or list(threads.map(prepare, images))


def _prepare_stack(images: Sequence[Path | ImageArray], preprocessing: Preprocessing) -> list[Decoded]:
    """Arrays of one shape, fitted together; nothing if they are something else."""
    arrays = [image for image in images if not isinstance(image, Path)]
    if len(arrays) < len(images) or len({array.shape for array in arrays}) > 1:
        return []
    try:
        decoded = [_decode(array, preprocessing) for array in arrays]
    except BrokenImage:
        return []
    fitted = fit_stack(np.stack([one.pixels for one in decoded]), preprocessing)
    return [Decoded(pixels, one.original_hw, one.colour) for pixels, one in zip(fitted, decoded, strict=True)]


def _plain(preprocessing: Preprocessing) -> bytes:
    pixels = np.empty((*preprocessing.image_hw, preprocessing.channels), np.uint8)
    pixels[:] = preprocessing.fill
    return pixels.tobytes()


def _load(folder: Path, shape: tuple[int, ...], key: str) -> Pack:
    images = np.load(folder / "images.npy", mmap_mode="r" if shape[0] else None)
    original_hw = np.load(folder / "original_hw.npy")
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    broken = {int(row): str(reason) for row, reason in facts["broken"].items()}
    colours = tuple(facts["colours"])
    if images.shape != shape or original_hw.shape != (shape[0], 2) or len(colours) != shape[0]:
        raise ValueError(f"cache entry {folder} does not hold what its key says")
    return Pack(images, broken, original_hw, colours, key)
