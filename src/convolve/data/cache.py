"""What is costly to make again (decoded images, features, hashes), kept on disk between runs and bounded in size.

An entry is a folder, `<cache folder>/<kind>/<key>`, whole or absent: it is written aside, flushed and renamed. Its
modification time is when it was last used. CONVOLVE_CACHE names another folder, CONVOLVE_CACHE_LIMIT another bound
("20G", "500M", or bytes; 20G unless told).
"""

import errno
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from platformdirs import user_cache_dir

from convolve.errors import UserError

_ASIDE = ".aside"
_SPARED_SECONDS = 3600.0
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_LIMIT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing kept.

    Attributes:
        kind: what it is, for example "packs".
        key: what it was made of, for example a hash.
        bytes: its size on disk.
        used: when it was last written or read, seconds since 1970.
    """

    kind: str
    key: str
    bytes: int
    used: float


def cache_folder() -> Path:
    """The folder of everything kept: CONVOLVE_CACHE, or the system's place for caches. Created when it is missing.

    Raises:
        UserError: it cannot be created.
    """
    folder = Path(os.environ.get("CONVOLVE_CACHE") or user_cache_dir("convolve")).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cache folder {folder} cannot be made: {error.strerror}",
            "Name another one with the environment variable CONVOLVE_CACHE.",
        ) from error
    return folder


def store(kind: str, key: str, write: Callable[[Path], None], *, needed: int = 0) -> Path:
    """The folder of an entry, written now if it is absent; either way it counts as just used.

    Two processes may ask for one entry at once: both write, the first to finish wins, and both get the winner's.
    Afterwards the least recently used entries go until the cache fits its bound; what was used in the last hour stays.

    Args:
        kind: what it is: letters, digits, "_", "-" and ".".
        key: what it is made of, in the same letters.
        write: fills the empty folder it is given.
        needed: about how many bytes it will write, 0 where it does not know.

    Raises:
        UserError: there is no room for it, or the folder cannot be written to; nothing of the entry is left then.
        ValueError: `kind` or `key` has other letters.
    """
    entry = _place(kind, key)
    if _touch(entry):
        return entry
    aside = cache_folder() / _ASIDE / f"{kind}.{key}.{uuid4().hex}"
    try:
        aside.mkdir(parents=True)
        _check_room(aside, needed)
        write(aside)
        _flush(aside)
        _rename(aside, entry)
    except OSError as error:
        raise _user_error(error, aside, needed) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _tidy()
    return entry


def entries() -> list[Entry]:
    """Everything kept, the least recently used first."""
    found = []
    for folder in cache_folder().glob("[!.]*/*/"):
        with suppress(FileNotFoundError):  # another process may evict it meanwhile
            used = folder.stat().st_mtime
            found.append(Entry(folder.parent.name, folder.name, _size(folder), used))
    return sorted(found, key=lambda entry: (entry.used, entry.kind, entry.key))


def discard(kind: str, key: str) -> int:
    """Remove one entry, if it is there; returns the bytes freed."""
    entry = _place(kind, key)
    doomed = cache_folder() / _ASIDE / f"{kind}.{key}.{uuid4().hex}"
    try:
        size = _size(entry)
        doomed.parent.mkdir(exist_ok=True)
        entry.rename(doomed)  # first out of sight, so that nobody finds half of it
    except OSError:
        return 0  # absent, or in use on a system that keeps open files
    shutil.rmtree(doomed, ignore_errors=True)
    return size


def clear(kind: str | None = None) -> int:
    """Remove all entries, or all of one kind; returns the bytes freed."""
    return sum(discard(entry.kind, entry.key) for entry in entries() if kind in (None, entry.kind))


def size_limit() -> int:
    """The bound on all entries together, in bytes: CONVOLVE_CACHE_LIMIT.

    Raises:
        UserError: it is not a size.
    """
    text = os.environ.get("CONVOLVE_CACHE_LIMIT") or "20G"
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        raise UserError(f"CONVOLVE_CACHE_LIMIT={text!r} is not a size", "Write for example 20G, 500M, or bytes.")
    return int(float(match[1]) * 1024 ** _POWERS[match[2].upper()])


def _place(kind: str, key: str) -> Path:
    if not (_NAME.fullmatch(kind) and _NAME.fullmatch(key)):
        raise ValueError(f"not a name for a cache entry: {kind!r}, {key!r}")
    return cache_folder() / kind / key


def _touch(entry: Path) -> bool:
    """Note that the entry is in use; False when there is none."""
    try:
        os.utime(entry)
    except FileNotFoundError:
        return False
    except PermissionError:  # a cache shared read-only: it can be used, though not marked
        return entry.is_dir()
    return True


def _check_room(folder: Path, needed: int) -> None:
    if needed > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _flush(folder: Path) -> None:
    """Have everything below the folder on the disk before its name is."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
    _flush_names(folder)


def _flush_names(folder: Path) -> None:
    if os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(aside: Path, entry: Path) -> None:
    entry.parent.mkdir(exist_ok=True)
    try:
        aside.rename(entry)
    except OSError:
        if not _touch(entry):
            raise
    _flush_names(entry.parent)


def _user_error(error: OSError, aside: Path, needed: int) -> Exception:
    """The error in the user's words, if it is about the cache and not about what `write` read."""
    folder = aside.parent.parent
    if error.errno in _NO_SPACE:
        least = max(needed, _size(aside))
        free = shutil.disk_usage(folder).free
        return UserError(
            f"no space left in cache folder {folder}: {least:,} bytes or more are needed, {free:,} are free",
            "Make room, empty the cache, or name a folder on another disk with CONVOLVE_CACHE.",
        )
    if error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(folder):
        return UserError(
            f"cache folder {folder} cannot be written to: {error.strerror}",
            "Name another one with the environment variable CONVOLVE_CACHE.",
        )
    return error


def _tidy() -> None:
    """Evict what is over the bound, and remove what killed writers left behind."""
    now = time.time()
    kept = entries()
    total = sum(entry.bytes for entry in kept)
    for entry in kept:
        if total <= size_limit() or now - entry.used < _SPARED_SECONDS:
            break
        total -= discard(entry.kind, entry.key)
    for aside in (cache_folder() / _ASIDE).glob("*/"):
        if now - _last_written(aside) > _SPARED_SECONDS:
            shutil.rmtree(aside, ignore_errors=True)


def _last_written(folder: Path) -> float:
    times = [0.0]
    for path in (folder, *folder.rglob("*")):
        with suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return max(times)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.lstat().st_size
    return total
