"""MNIST's IDX files, gzipped or not.

Format: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits": two zero bytes, the type of a value,
the number of dimensions, each dimension as a 32-bit number (big-endian), then the values, the last dimension fastest.
"""

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import ClassLabel, Dataset, Sample, Split
from convolve.data.reading import READERS
from convolve.errors import UserError

_IMAGES = re.compile(r"(?P<part>.*?)-?images(?P<joint>[-.])idx3-ubyte(\.gz)?", re.IGNORECASE)
_PARTS: dict[str, Split] = {"train": "train", "t10k": "test", "test": "test"}
_UNSIGNED_BYTES = 0x08
_MOST_BYTES = 4 << 30

_Bytes: TypeAlias = NDArray[np.uint8]


class Idx:
    """train-images-idx3-ubyte and train-labels-idx1-ubyte, t10k-images-... and t10k-labels-..., or one such pair.

    A folder's "train" and "t10k" (or "test") files are its splits; the images' file of one pair names a data set
    without splits. Labels are the classes' names.
    """

    form = "IDX"
    layout = "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether a file or a folder has such names."""
        path = Path(source)
        return bool(_pairs(path)) if path.is_dir() else _IMAGES.fullmatch(path.name) is not None

    def read(self, source: str) -> Dataset:
        """Images are (H, W) uint8; an image's name is its split (or "images") and its number.

        Raises:
            UserError: a file is missing, damaged, truncated or no IDX, or images and labels differ in number.
        """
        path = Path(source)
        pairs = list(_pairs(path).items()) if path.is_dir() else [(None, path)]
        read = [(split, *_read_pair(images)) for split, images in pairs]
        present = sorted({int(label) for _, _, labels in read for label in np.unique(labels)})
        index = {label: number for number, label in enumerate(present)}
        samples = [
            Sample(f"{split or 'images'}/{number}", image, ClassLabel(index[int(label)]), split=split)
            for split, images, labels in read
            for number, (image, label) in enumerate(zip(images, labels, strict=True))
        ]
        return Dataset(
            name=path.resolve().name, form=self.form, classes=tuple(map(str, present)), samples=tuple(samples)
        )

    def write_example(self, folder: Path) -> str:
        """Two classes of two 8 x 8 images each to train on, and one image of each to test on."""
        for part, count in (("train", 4), ("t10k", 2)):
            labels = np.arange(count, dtype=np.uint8) % 2
            images = np.broadcast_to(100 * labels[:, None, None] + 50, (count, 8, 8)).astype(np.uint8)
            for values, name in ((images, "images-idx3"), (labels, "labels-idx1")):
                header = struct.pack(f">HBB{values.ndim}I", 0, _UNSIGNED_BYTES, values.ndim, *values.shape)
                with gzip.open(folder / f"{part}-{name}-ubyte.gz", "wb") as file:
                    file.write(header + values.tobytes())
        return str(folder)


READERS.add("idx", Idx())


def _pairs(folder: Path) -> dict[Split, Path]:
    """The images' file of each split; a file that is there both gzipped and not is read as it is not."""
    found: dict[Split, Path] = {}
    for entry in sorted(folder.iterdir()):
        match = _IMAGES.fullmatch(entry.name)
        if match is not None and (split := _PARTS.get(match["part"].lower())) is not None:
            found.setdefault(split, entry)
    return found


def _read_pair(images_file: Path) -> tuple[_Bytes, _Bytes]:
    """(N, H, W) images and (N,) labels."""
    match = _IMAGES.fullmatch(images_file.name)
    assert match is not None  # noqa: S101 `recognise` has matched it
    stem = images_file.name[: match.start("joint")]
    name = f"{stem[: -len('images')]}labels{match['joint']}idx1-ubyte"
    candidates = [images_file.with_name(name), images_file.with_name(f"{name}.gz")]
    labels_file = next((file for file in candidates if file.is_file()), None)
    if labels_file is None:
        raise UserError(f"{images_file}: there are no labels beside it", f"Put {name} (or .gz) into the same folder.")
    images = _read_array(images_file, dimensions=3)
    labels = _read_array(labels_file, dimensions=1)
    if len(images) != len(labels):
        raise UserError(
            f"{images_file}: {len(images):,} images, but {len(labels):,} labels in {labels_file.name}",
            "Use the two files of one set.",
        )
    return images, labels


def _read_array(path: Path, *, dimensions: int) -> _Bytes:
    try:
        with _open(path) as file:
            return _parse(file, path, dimensions)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged or truncated gzip file ({error})", "Download or copy it again.") from error


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _parse(file: BinaryIO, path: Path, dimensions: int) -> _Bytes:
    again = "Download or copy it again."
    start = file.read(4 + 4 * dimensions)
    if start[:4] != bytes([0, 0, _UNSIGNED_BYTES, dimensions]):
        raise UserError(
            f"{path}: no IDX file of unsigned bytes with {dimensions} dimension{'s' if dimensions > 1 else ''}: "
            f"it starts with {start[:4].hex(' ') or 'nothing'}, not 00 00 08 0{dimensions}",
            "Is it the right file, and of the right pair?",
        )
    if len(start) < 4 + 4 * dimensions:
        raise UserError(f"{path}: truncated: it ends in its header", again)
    shape = struct.unpack(f">{dimensions}I", start[4:])
    expected = math.prod(shape)
    if expected > _MOST_BYTES or (shape[0] and not expected):
        raise UserError(f"{path}: its header says {' x '.join(map(str, shape))} values: damaged", again)
    values = file.read(expected + 1)
    if len(values) != expected:
        least = "more" if len(values) > expected else f"{len(values):,}"
        fault = "too long" if len(values) > expected else "truncated"
        raise UserError(f"{path}: {fault}: {expected:,} values by its header, {least} in the file", again)
    return np.frombuffer(values, np.uint8).reshape(shape)
