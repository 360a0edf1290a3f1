"""Lists of pairs, train.txt and the like, with a line `image mask` for each."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from convolve.data.dataset import Split
from convolve.data.masks.pairing import Pair
from convolve.data.reading import IMAGE_SUFFIXES, MissingFile, list_lines, split_of_word
from convolve.errors import UserError

_ENDING = f"(?:{'|'.join(re.escape(suffix) for suffix in sorted(IMAGE_SUFFIXES))})"
# Names may hold blanks, so what ends an image's path is its ending.
_LINE = re.compile(rf"(\S.*?{_ENDING})[\s,;]+(\S.*?{_ENDING})", re.IGNORECASE)
_START_BYTES = 4096


def list_files(folder: Path) -> dict[Path, Split]:
    """The lists of pairs in a folder: files such as train.txt whose first line names two images."""
    lists = {file: split_of_word(file.stem) for file in sorted(folder.glob("*.txt")) if file.is_file()}
    return {file: split for file, split in lists.items() if split is not None and _starts_with_a_pair(file)}


def listed_pairs(folder: Path) -> tuple[list[Pair], list[MissingFile]]:
    """The pairs of all lists, and the lines that name a file which is not there.

    Paths start at the folder. Those that do not lead anywhere from there, such as the absolute ones of another machine,
    are followed by their ends: /SegNet/CamVid/train/a.png is train/a.png. No file outside the folder is read.

    Raises:
        UserError: a list is not text, a line is no pair or leads out of the folder, or an image is listed twice.
    """
    pairs: list[Pair] = []
    missing: list[MissingFile] = []
    first: dict[Path, str] = {}
    for file, split in list_files(folder).items():
        for where, *names in _lines(file):
            image, mask = (_resolved(name, folder, where) for name in names)
            if image is None or mask is None:
                absent = names[0] if image is None else names[1]
                missing.append(MissingFile(where, f"'{absent}' is not in {folder.resolve().name}/"))
                continue
            if image in first:
                raise UserError(
                    f"{where}: image '{names[0]}' is in {first[image]} already",
                    "Keep one line for each image: what is tested must not have been trained on.",
                )
            first[image] = where
            pairs.append(Pair(image, mask, split))
    return pairs, missing


def _starts_with_a_pair(file: Path) -> bool:
    with file.open("rb") as opened:
        start = opened.read(_START_BYTES).decode("utf-8-sig", errors="replace").strip()
    return bool(start) and _LINE.fullmatch(start.splitlines()[0].strip()) is not None


def _lines(file: Path) -> Iterator[tuple[str, str, str]]:
    """Where each line is, its image and its mask."""
    for number, line in enumerate(list_lines(file, called=file.name), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UserError(
                f"{file.name}, line {number}: not an image and its mask", "Write the two paths, with a blank between."
            )
        yield f"{file.name}, line {number}", match[1], match[2]


def _resolved(name: str, folder: Path, where: str) -> Path | None:
    """The file in the folder that is meant, if it is there."""
    parts = os.path.normpath(name.replace("\\", "/")).replace(os.sep, "/").split("/")
    if ".." in parts:
        raise UserError(f"{where}: '{name}' leads out of the folder", "Write paths that start at the list's folder.")
    parts = [part for part in parts if part and not part.endswith(":")]
    for start in range(len(parts)):
        path = folder.joinpath(*parts[start:])
        if os.path.isfile(path):  # noqa: PTH113 Path.is_file raises where a name is too long
            return path
    return None
