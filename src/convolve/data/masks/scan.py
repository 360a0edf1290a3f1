"""One look at every mask: which values it holds and how often, kept in the cache by content."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path

import numpy as np

from convolve.data.cache import store
from convolve.data.content import mask_hashes
from convolve.data.dataset import Dataset, Mask, Outlines, Sample
from convolve.data.decoding import BrokenImage
from convolve.data.masks.coding import drawn, is_grey
from convolve.data.masks.values import AS_GREY, MaskValues, Numbers, Storage, read_values
from convolve.progress import Progress, silent

_FORM = 1
"""The number of this file's format, raised when it changes."""
_DISTINCT = 1000


@dataclass(frozen=True, slots=True)
class MaskScan:
    """The values of one mask.

    Attributes:
        hw: height and width, pixels.
        storage: as `MaskValues` has it; "shapes" for outlines.
        counts: pixels of each value (numbers, or 0xRRGGBB), the 1000 most frequent ones.
        rest: pixels of all other values.
        palette: for a palette, the colour 0xRRGGBB of each value that occurs.
        transparent: pixels with alpha below one half, counted as 0.
        broken: why it cannot be read; "" where it can.
    """

    hw: tuple[int, int] = (0, 0)
    storage: Storage | str = "grey"
    counts: dict[int, int] = field(default_factory=dict)
    rest: int = 0
    palette: dict[int, int] = field(default_factory=dict)
    transparent: int = 0
    broken: str = ""

    @property
    def grey(self) -> bool:
        """Whether no colour is in it, so that its values can be numbers."""
        return self.storage != "colour" or bool(is_grey(np.array(list(self.counts), np.int32)).all())

    def numbers(self) -> dict[int, int]:
        """Pixels of each number; of a mask of colours the grey ones alone."""
        if self.storage != "colour":
            return self.counts
        return {value & 255: pixels for value, pixels in self.counts.items() if (value & 255) * AS_GREY == value}

    def colours(self) -> dict[int, int]:
        """Pixels of each colour 0xRRGGBB."""
        if self.storage == "palette":
            by_colour: Counter[int] = Counter()
            for value, pixels in self.counts.items():
                by_colour[self.palette[value]] += pixels
            return dict(by_colour)
        if self.storage == "colour":
            return self.counts
        return {value * AS_GREY: pixels for value, pixels in self.counts.items() if 0 <= value < 256}


@dataclass(frozen=True)
class Census:
    """The values of all masks that can be read.

    Attributes:
        scans: of each mask.
    """

    scans: tuple[MaskScan, ...]

    @cached_property
    def pixels(self) -> int:
        """Of all masks."""
        return sum(scan.hw[0] * scan.hw[1] for scan in self.scans)

    @cached_property
    def numbers(self) -> Counter[int]:
        """Pixels of each number."""
        return _total(scan.numbers() for scan in self.scans)

    @cached_property
    def colours(self) -> Counter[int]:
        """Pixels of each colour 0xRRGGBB."""
        return _total(scan.colours() for scan in self.scans)

    @cached_property
    def grey(self) -> bool:
        """Whether values of all masks can be numbers: palettes that agree on their colours, and no other colours."""
        meanings = {item for scan in self.scans for item in scan.palette.items()}
        return all(scan.grey for scan in self.scans) and len({value for value, _ in meanings}) == len(meanings)

    @property
    def rest(self) -> int:
        """Pixels of values that were too many to count."""
        return sum(scan.rest for scan in self.scans)


def scan_masks(dataset: Dataset, progress: Progress = silent) -> tuple[MaskScan, ...]:
    """Look at the masks of a data set in which every sample has one; what was seen before is not read again."""
    hashes = mask_hashes(dataset, progress)
    key = blake2b(json.dumps([_FORM, hashes]).encode(), digest_size=16).hexdigest()
    folder = store("masks", key, partial(_write, dataset.samples, progress))
    rows = json.loads((folder / "scans.json").read_text(encoding="utf-8"))
    return tuple(
        MaskScan(
            **row
            | {
                "hw": tuple(row["hw"]),
                "counts": {int(value): pixels for value, pixels in row["counts"].items()},
                "palette": {int(value): colour for value, colour in row["palette"].items()},
            }
        )
        for row in rows
    )


def _write(samples: Sequence[Sample], progress: Progress, folder: Path) -> None:
    scans = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for done, scan in enumerate(threads.map(_scan, samples), start=1):
            scans.append(asdict(scan))
            progress("looking at masks", done, len(samples))
    (folder / "scans.json").write_text(json.dumps(scans, separators=(",", ":")), encoding="utf-8")


def _scan(sample: Sample) -> MaskScan:
    assert isinstance(sample.target, Mask)  # noqa: S101
    source = sample.target.source
    try:
        if isinstance(source, Outlines):
            counts, _ = _counts(drawn(source))
            return MaskScan(hw=source.hw, storage="shapes", counts=counts)
        return _of_values(read_values(source))
    except BrokenImage as error:
        return MaskScan(broken=str(error))


def _of_values(stored: MaskValues) -> MaskScan:
    counts, rest = _counts(stored.values)
    palette = {} if stored.palette is None else {value: int(stored.palette[value]) for value in counts}
    height, width = stored.values.shape
    return MaskScan(
        hw=(height, width),
        storage=stored.storage,
        counts=counts,
        rest=rest,
        palette=palette,
        transparent=stored.transparent,
    )


def _counts(values: Numbers) -> tuple[dict[int, int], int]:
    """Pixels of the most frequent values, and of all the others together."""
    if values.dtype == np.uint8:
        pixels = np.bincount(values.ravel(), minlength=256)
        found = np.flatnonzero(pixels)
        pixels = pixels[found]
    else:
        found, pixels = np.unique(values, return_counts=True)
    most = np.argsort(-pixels, kind="stable")[:_DISTINCT]
    counts = dict(zip(found[most].tolist(), pixels[most].tolist(), strict=True))
    return counts, int(values.size - pixels[most].sum())


def _total(counts: Iterable[dict[int, int]]) -> Counter[int]:
    total: Counter[int] = Counter()
    for some in counts:
        total.update(some)
    return total
