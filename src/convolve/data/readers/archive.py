"""Archives of a data set in any of the other formats, unpacked once into the cache.

An archive is somebody else's file: its members never leave their folder, links and devices are refused, and how much it
may unpack to is bounded before it is written.
"""

import gzip
import hashlib
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from PIL import Image

from convolve.data.cache import size_limit, store
from convolve.data.dataset import Dataset
from convolve.data.reading import READERS, is_clutter, read_path
from convolve.errors import UserError

_ENDINGS = re.compile(r".*\.(zip|tar|tar\.gz|tgz)", re.IGNORECASE)
_ABSOLUTE = re.compile(r"/|[A-Za-z]:")
_ENCRYPTED = 1
_MOST_MEMBERS = 2_000_000
# Photos hardly shrink in an archive and plain drawings to a fiftieth; bombs shrink to a thousandth.
_MOST_EXPANSION = 200
_HARMLESS_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class _Member:
    """A file in an archive: its name there, its size in bytes, what it is if not a plain file, and how to read it."""

    name: str
    size: int
    oddity: str
    open: Callable[[], IO[bytes]]


class Archive:
    """.zip, .tar, .tar.gz or .tgz with a data set inside, directly or in one folder at its top.

    It is unpacked into the cache under its content's hash, so a second reading unpacks nothing.
    """

    form = "archive"
    layout = ".zip, .tar, .tar.gz or .tgz of another format"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether it is a file of such a name."""
        path = Path(source)
        return path.is_file() and _ENDINGS.fullmatch(path.name) is not None

    def read(self, source: str) -> Dataset:
        """The data set inside, called like the archive.

        Raises:
            UserError: the archive is damaged, encrypted, hostile or too big, or what is inside is no data set.
        """
        path = Path(source)
        with path.open("rb") as file:
            key = hashlib.file_digest(file, "sha256").hexdigest()
        folder = _inner_folder(store("archives", key, partial(_unpack, path)))
        try:
            inside = read_path(folder, called=path.name)
        except UserError as error:
            raise UserError(error.problem.replace(str(folder), path.name), error.remedy) from error
        return replace(inside, name=path.name, form=f"{inside.form} in an archive")

    def write_example(self, folder: Path) -> str:
        """A zip of two class folders with an 8 x 8 image each, in one folder at the top."""
        source = folder / "example.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for name, grey in (("dark", 40), ("light", 200)):
                with archive.open(f"example/{name}/0.png", "w") as file:
                    Image.fromarray(np.full((8, 8), grey, np.uint8)).save(file, "png")
        return str(source)


READERS.add("archive", Archive())


def _inner_folder(folder: Path) -> Path:
    """Down through folders that stand alone, as long as a data set lies there."""
    entries = list(folder.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        return folder
    inner = _inner_folder(entries[0])
    return inner if any(READERS[name].recognise(str(inner)) for name in READERS) else folder


def _unpack(path: Path, folder: Path) -> None:
    members = _zip_members if path.suffix.lower() == ".zip" else _tar_members
    bound = min(size_limit(), max(_HARMLESS_BYTES, _MOST_EXPANSION * path.stat().st_size))
    count = total = 0
    with _in_words(path), members(path) as found:
        for member in found:
            count, total = count + 1, total + member.size
            if count > _MOST_MEMBERS or total > bound:
                raise _too_big(path, bound)
            parts = _parts(member, path)
            if not any(is_clutter(part) for part in parts):
                _write(member, folder.joinpath(*parts), path)


def _parts(member: _Member, path: Path) -> tuple[str, ...]:
    """Where a member goes, below the folder of all."""
    name = member.name.replace("\\", "/")
    parts = PurePosixPath(name).parts
    outside = not parts or ".." in parts or _ABSOLUTE.match(name) is not None
    if outside or member.oddity:
        fault = f"is {member.oddity}" if member.oddity else "would lie outside its folder"
        raise UserError(
            f"{path.name}: member '{member.name}' {fault}",
            "An archive of images has no use for it. If you trust it, unpack it yourself and name the folder.",
        )
    return parts


def _write(member: _Member, target: Path, path: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file, member.open() as content:
            shutil.copyfileobj(content, file, 1 << 20)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(
            f"{path.name}: two members are called '{member.name}'", "Unpack it yourself and name the folder."
        ) from error


@contextmanager
def _zip_members(path: Path) -> Iterator[Iterator[_Member]]:
    with zipfile.ZipFile(path) as archive:
        files = (info for info in archive.infolist() if not info.is_dir())
        yield (_Member(info.filename, info.file_size, _zip_oddity(info), partial(archive.open, info)) for info in files)


def _zip_oddity(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    kind = stat.S_IFMT(info.external_attr >> 16)
    return "" if kind in (0, stat.S_IFREG) else "a link or a device"


@contextmanager
def _tar_members(path: Path) -> Iterator[Iterator[_Member]]:
    with tarfile.open(path) as archive:
        files = (info for info in archive if not info.isdir())
        yield (_Member(info.name, info.size, _tar_oddity(info), partial(_open, archive, info)) for info in files)


def _tar_oddity(info: tarfile.TarInfo) -> str:
    return "" if info.isreg() else "a link or a device"


def _open(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    assert content is not None  # noqa: S101 it is a plain file
    return content


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Say of a damaged archive that it is."""
    try:
        yield
    except (
        *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
        *(EOFError, ValueError, NotImplementedError),  # what damage makes these modules raise besides
    ) as error:
        raise UserError(
            f"{path.name}: damaged, truncated or no archive ({error})", "Download or copy it again."
        ) from error


def _too_big(path: Path, bound: int) -> UserError:
    return UserError(
        f"{path.name}: it unpacks to more than {bound:,} bytes or {_MOST_MEMBERS:,} files",
        "Archives of images do not, or do not fit into the cache (CONVOLVE_CACHE_LIMIT). "
        "If you trust it, unpack it yourself and name the folder.",
    )
