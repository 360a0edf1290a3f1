"""Pascal VOC's lists of the splits: a name a line in ImageSets/*/train.txt and the like."""

from collections.abc import Iterable
from pathlib import Path

from convolve.data.dataset import Split
from convolve.data.reading import is_image_file, list_lines, split_of_word
from convolve.errors import UserError


def listed_names(root: Path, lists: str) -> dict[str, tuple[Split | None, str]]:
    """For each listed name the split and the place where it is listed; empty if there are no lists.

    trainval.txt stands in for train.txt and val.txt where neither is there; its images have no split of their own.

    Args:
        root: the data set's folder.
        lists: where below it the lists lie, with slashes.

    Raises:
        UserError: a name is in two splits, or a list is no text.
    """
    files = {file.stem.lower(): file for file in sorted((root / lists).glob("*.txt"))}
    splits: dict[str, Split | None] = {stem: split for stem in files if (split := split_of_word(stem)) is not None}
    if "trainval" in files and not {"train", "validation"} & set(splits.values()):
        splits["trainval"] = None
    listed: dict[str, tuple[Split | None, str]] = {}
    for stem, split in splits.items():
        for name, where in _lines(files[stem], f"{lists}/{files[stem].name}"):
            if name in listed and listed[name][0] != split:
                raise UserError(
                    f"{where}: '{name}' is in {listed[name][1]} already",
                    "An image belongs to one split: delete a line.",
                )
            listed[name] = split, where
    return listed


def _lines(file: Path, called: str) -> Iterable[tuple[str, str]]:
    """Each name in a list, and where it stands."""
    for number, line in enumerate(list_lines(file, called=called), start=1):
        if name := line.strip():
            yield Path(name).stem if is_image_file(name) else name, f"{called}, line {number}"
