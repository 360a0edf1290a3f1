"""The proposals of all images of a data set: searched on all cores, and kept between runs image by image."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from convolve.data.boxes.selective_search import MOST_REGIONS, Mode, Searched, ranked, search
from convolve.data.cache import discard, store
from convolve.data.dataset import Dataset, Sample
from convolve.data.decoding import POLICY, BrokenImage, decode
from convolve.progress import Progress, silent

# Raised when what is searched or how it is stored changes.
_LAYOUT = 2
_DATABASE = ("proposals", f"by-image-{_LAYOUT}")
_COLUMNS = "key, boxes, searched_h, searched_w, image_h, image_w, seconds"
_TABLE = f"CREATE TABLE IF NOT EXISTS searched ({_COLUMNS}, PRIMARY KEY (key))"
_PATIENCE_SECONDS = 30.0
_AT_ONCE = 512

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Proposals:
    """Where objects may be, for each image of a data set.

    Attributes:
        boxes: (sum of R, 4) float64 left, top, right, bottom, continuous pixels of the upright image, image by image.
        starts: (N + 1,) int64: image i has the rows from `starts[i]` to before `starts[i + 1]`.
        seconds_per_image: mean processor time of one image on one thread, decoding left out, measured when it was
            searched; NaN without images.
        broken: images that cannot be decoded, by their rows, with the reason; they have no boxes.
    """

    boxes: NDArray[np.float64]
    starts: NDArray[np.int64]
    seconds_per_image: float
    broken: dict[int, str]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, row: int) -> NDArray[np.float64]:
        """(R, 4) the proposals of an image, in an order that says nothing."""
        return self.boxes[self.starts[row] : self.starts[row + 1]]


@dataclass(frozen=True, slots=True)
class _Timed:
    searched: Searched
    seconds: float


def propose_all(
    dataset: Dataset,
    hashes: Sequence[str],
    *,
    mode: Mode = "fast",
    most: int = MOST_REGIONS,
    seed: int = 0,
    progress: Progress = silent,
) -> Proposals:
    """Selective search in every image of a data set (`data.boxes.selective_search`).

    What was searched once is read from the cache, by content, also after a run that was killed, and under another seed.

    Args:
        dataset: the images.
        hashes: the samples' `content_hashes`.
        mode: how thorough.
        most: boxes of an image, at most.
        seed: of the order of each image's boxes, and so of which are left out beyond `most`.
        progress: told "searching for regions" after every image.
    """
    keys = [_key(digest, mode) for digest in hashes]
    known = _recall(keys)
    missing = {key: sample for key, sample in zip(keys, dataset.samples, strict=True) if key not in known}
    reasons: dict[str, str] = {}
    for done, (key, found) in enumerate(_searched(missing, mode), start=1):
        if isinstance(found, BrokenImage):
            reasons[key] = str(found)
        else:
            known[key] = found
            _remember(key, found)
        progress("searching for regions", len(keys) - len(missing) + done, len(keys))
    broken = {row: reasons[key] for row, key in enumerate(keys) if key in reasons}
    boxes = [ranked(known[key].searched, most=most, seed=seed) if key in known else np.zeros((0, 4)) for key in keys]
    seconds = [known[key].seconds for key in keys if key in known]
    return Proposals(
        boxes=np.concatenate([np.zeros((0, 4)), *boxes]),
        starts=np.cumsum([0, *map(len, boxes)], dtype=np.int64),
        seconds_per_image=float(np.mean(seconds)) if seconds else float("nan"),
        broken=broken,
    )


def _key(digest: str, mode: Mode) -> str:
    told = f"{_LAYOUT} {POLICY} {cv2.__version__} {mode} {digest}"
    return blake2b(told.encode(), digest_size=16).hexdigest()


def _searched(samples: Mapping[str, Sample], mode: Mode) -> Iterator[tuple[str, _Timed | BrokenImage]]:
    """Each as it is ready. OpenCV lets go of Python's lock, so that threads are as fast as processes."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        jobs = {threads.submit(_search_one, sample, mode): key for key, sample in samples.items()}
        try:
            for job in as_completed(jobs):
                # Given away, its pixels are freed.
                yield jobs.pop(job), job.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _search_one(sample: Sample, mode: Mode) -> _Timed | BrokenImage:
    try:
        pixels = decode(sample.image, channels=3)
    except BrokenImage as reason:
        return reason
    # This thread's own time: what else the machine does meanwhile does not count.
    start = time.thread_time()
    searched = search(pixels, mode)
    return _Timed(searched, time.thread_time() - start)


def _recall(keys: Sequence[str]) -> dict[str, _Timed]:
    def look_up(database: sqlite3.Connection) -> dict[str, _Timed]:
        found: dict[str, _Timed] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            query = f"SELECT {_COLUMNS} FROM searched WHERE key IN ({marks})"  # noqa: S608 only marks
            for key, boxes, searched_h, searched_w, image_h, image_w, seconds in database.execute(query, some):
                corners = np.frombuffer(boxes, "<u2").reshape(-1, 4).astype(np.uint16)
                found[key] = _Timed(Searched(corners, (searched_h, searched_w), (image_h, image_w)), seconds)
        return found

    return _with_database(look_up, otherwise={})


def _remember(key: str, found: _Timed) -> None:
    boxes, searched_hw, image_hw = found.searched
    row = (key, boxes.astype("<u2").tobytes(), *searched_hw, *image_hw, found.seconds)
    command = "INSERT OR REPLACE INTO searched VALUES (?, ?, ?, ?, ?, ?, ?)"
    _with_database(lambda database: database.execute(command, row).rowcount, otherwise=0)


def _with_database(work: Callable[[sqlite3.Connection], _Result], *, otherwise: _Result) -> _Result:
    """What `work` makes of the table of what was searched before.

    The table only saves time. Where it is locked, full or away the work goes on without it; where it is damaged it is
    begun anew.
    """
    for _ in range(2):
        path = store(*_DATABASE, lambda folder: None) / "searched.sqlite"
        try:
            with closing(sqlite3.connect(path, timeout=_PATIENCE_SECONDS)) as database, database:
                database.execute(_TABLE)
                return work(database)
        except sqlite3.OperationalError:
            break
        except sqlite3.DatabaseError:
            discard(*_DATABASE)
    return otherwise
