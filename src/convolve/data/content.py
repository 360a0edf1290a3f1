"""What a data set is made of, byte by byte: hashes that name caches, find equal files and tell whether data changed."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from convolve.data.cache import discard, store
from convolve.data.dataset import Boxes, Dataset, ImageArray, Mask, Outlines, Sample, labels_of
from convolve.progress import Progress, silent

_DIGEST_BYTES = 16
_AT_ONCE = 512
_SETTLED_SECONDS = 2.0
_PATIENCE_SECONDS = 30.0
_DATABASE = ("hashes", "by-stat-1")
_TABLE = "CREATE TABLE IF NOT EXISTS hashes (path BLOB PRIMARY KEY, size INT, mtime INT, inode TEXT, hash TEXT)"

_Result = TypeVar("_Result")
_Stat: TypeAlias = tuple[bytes, int, int, str]
"""Path, bytes, modification time in ns, inode: a file of which all are the same is taken to be the same."""


def content_hashes(dataset: Dataset, progress: Progress = silent) -> tuple[str, ...]:
    """The hash of every sample's image: BLAKE2b of the file's bytes, or of an array's shape and pixels.

    A file is read once; later its hash is looked up by path, size, time and inode, as Git does. A file that cannot be
    read has a hash of its name, which no content has.

    Returns:
        N hexadecimal strings of 32 digits.
    """
    total = len(dataset.samples)
    known = _Known(dataset.samples)
    hashes: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, total, _AT_ONCE):
            some = dataset.samples[start : start + _AT_ONCE]
            # Handing small arrays to threads takes longer than hashing them.
            hashes.extend((threads.map if _any_file(some) else map)(known.hash_of, some))
            progress("reading files", len(hashes), total)
    known.keep()
    return tuple(hashes)


def mask_hashes(dataset: Dataset, progress: Progress = silent) -> tuple[str, ...]:
    """The hash of every sample's mask: of a file or an array as `content_hashes` has it, of shapes as their numbers.

    Returns:
        N hexadecimal strings of 32 digits; "" for a sample whose target is no mask.
    """
    stored = [
        (row, replace(sample, image=sample.target.source))
        for row, sample in enumerate(dataset.samples)
        if isinstance(sample.target, Mask) and not isinstance(sample.target.source, Outlines)
    ]
    found = content_hashes(replace(dataset, samples=tuple(sample for _, sample in stored)), progress)
    hashes = [_outlines_hash(sample) for sample in dataset.samples]
    for (row, _), digest in zip(stored, found, strict=True):
        hashes[row] = digest
    return tuple(hashes)


def dataset_fingerprint(dataset: Dataset, hashes: Sequence[str]) -> str:
    """One hash of all that a training sees of a data set: names, targets, splits, classes and images.

    Masks are read for it, and what their values mean counts as well. Of boxes all counts, in their order.

    Args:
        dataset: the data set.
        hashes: the samples' `content_hashes`.

    Returns:
        32 hexadecimal digits.
    """
    rows: list[list[object]] = [
        [sample.name, labels_of(sample), sample.split, digest]
        for sample, digest in zip(dataset.samples, hashes, strict=True)
    ]
    facts: list[object] = [dataset.classes, dataset.several_labels, rows]
    if dataset.has_masks:
        facts += [mask_hashes(dataset), asdict(dataset.coding) if dataset.coding else None]
    if dataset.has_boxes:
        facts.append([_box_facts(sample) for sample in dataset.samples])
    told = json.dumps(facts, separators=(",", ":"))
    return blake2b(told.encode(), digest_size=_DIGEST_BYTES).hexdigest()


class _Known:
    """The hashes of files that were read before, on disk between runs."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        paths = [_bytes_of(sample.image) for sample in samples if isinstance(sample.image, Path)]
        self._hashes: dict[_Stat, str] = {}
        if paths:
            self._hashes = _with_database(lambda database: _recall(database, paths), otherwise=self._hashes)
        self._new: list[tuple[bytes, int, int, str, str]] = []

    def hash_of(self, sample: Sample) -> str:
        if not isinstance(sample.image, Path):
            return _array_hash(sample.image)
        try:
            found = sample.image.stat()
            stat = (_bytes_of(sample.image), found.st_size, found.st_mtime_ns, str(found.st_ino))
            if stat in self._hashes:
                return self._hashes[stat]
            digest = _file_hash(sample.image)
        except OSError:
            name = sample.name.encode(errors="surrogateescape")
            return blake2b(name, digest_size=_DIGEST_BYTES, person=b"unreadable").hexdigest()
        # A file just written may change once more within the clock's tick, and nobody could tell.
        if time.time() - found.st_mtime > _SETTLED_SECONDS:
            self._new.append((*stat, digest))
        return digest

    def keep(self) -> None:
        if self._new:
            _with_database(lambda database: _remember(database, self._new), otherwise=None)


def _any_file(samples: Sequence[Sample]) -> bool:
    return any(isinstance(sample.image, Path) for sample in samples)


def _bytes_of(path: Path) -> bytes:
    return os.fsencode(path.absolute())  # a file's name need not be text


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return str(file_digest(file, lambda: blake2b(digest_size=_DIGEST_BYTES)).hexdigest())


def _array_hash(array: ImageArray) -> str:
    digest = blake2b(str(array.shape).encode(), digest_size=_DIGEST_BYTES)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _box_facts(sample: Sample) -> list[object]:
    if not isinstance(sample.target, Boxes):
        return []
    return [sample.target.hw, [(box.index, box.corners, box.kind) for box in sample.target.objects]]


def _outlines_hash(sample: Sample) -> str:
    if not isinstance(sample.target, Mask) or not isinstance(sample.target.source, Outlines):
        return ""
    told = json.dumps(asdict(sample.target.source), separators=(",", ":"))
    return blake2b(told.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _with_database(work: Callable[[sqlite3.Connection], _Result], *, otherwise: _Result) -> _Result:
    """What `work` makes of the table of known hashes.

    The table only saves time. Where it is locked, full or away the work goes on without it; where it is damaged it is
    begun anew.
    """
    for _ in range(2):
        path = store(*_DATABASE, lambda folder: None) / "hashes.sqlite"
        try:
            with closing(sqlite3.connect(path, timeout=_PATIENCE_SECONDS)) as database, database:
                database.execute(_TABLE)
                return work(database)
        except sqlite3.OperationalError:
            break
        except sqlite3.DatabaseError:
            discard(*_DATABASE)
    return otherwise


def _recall(database: sqlite3.Connection, paths: Sequence[bytes]) -> dict[_Stat, str]:
    found: dict[_Stat, str] = {}
    for start in range(0, len(paths), _AT_ONCE):
        some = paths[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        query = f"SELECT path, size, mtime, inode, hash FROM hashes WHERE path IN ({marks})"  # noqa: S608 only marks
        found |= {
            (path, size, mtime, inode): digest for path, size, mtime, inode, digest in database.execute(query, some)
        }
    return found


def _remember(database: sqlite3.Connection, rows: Sequence[tuple[bytes, int, int, str, str]]) -> None:
    database.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?)", rows)
