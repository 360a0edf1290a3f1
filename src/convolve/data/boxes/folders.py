"""Where annotations and images lie in folders of boxes, whatever the format."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from convolve.data.dataset import Problem, Split
from convolve.data.reading import is_clutter, is_image_file, name_below, split_of_word
from convolve.errors import UserError, shown

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "photos")
"""What folders of images are called, in small letters."""

_DEEPEST = 5


def files_below(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder down to a few levels with the names of its files, in one order; links to folders are not followed."""
    for here, inner, names in os.walk(root):
        deep = len(Path(here).relative_to(root).parts) >= _DEEPEST
        inner[:] = [] if deep else sorted(name for name in inner if not is_clutter(name))
        yield Path(here), sorted(name for name in names if not is_clutter(name))


def split_of_folders(folder: Path, root: Path) -> Split | None:
    """The split that the name of one of the folders below the root is, the innermost first."""
    splits = (split_of_word(part) for part in reversed(folder.relative_to(root).parts))
    return next((split for split in splits if split is not None), None)


def image_folders_of(folder: Path, root: Path) -> list[Path]:
    """Where images of the annotations in a folder may lie, the likeliest place first.

    Beside them, or in a folder of images beside one of the annotations' folders, below which the same folders follow:
    labels/train/ has its images in images/train/.
    """
    parts = folder.relative_to(root).parts
    found = [folder]
    for depth in range(len(parts), -1, -1):
        above = root.joinpath(*parts[:depth])
        for images in _called(above, IMAGE_FOLDERS):
            found += [images.joinpath(*parts[depth + 1 :]), images]
        found.append(above)
    return [place for place in dict.fromkeys(found) if place.is_dir()]


class ImageIndex:
    """The images of folders by their names without ending, each folder looked at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[Path, Mapping[str, Path]] = {}

    def image(self, stem: str, places: Iterable[Path]) -> Path | None:
        """The image of this name in the first of the places that has one.

        Raises:
            UserError: that place has two.
        """
        for place in places:
            if place not in self._folders:
                self._folders[place] = self._by_stem(place)
            if stem in self._folders[place]:
                return self._folders[place][stem]
        return None

    def _by_stem(self, folder: Path) -> dict[str, Path]:
        found: dict[str, Path] = {}
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if is_image_file(entry.name) and entry.is_file())
        for name in names:
            stem = name.rpartition(".")[0]
            if stem in found:
                raise UserError(
                    f"{name_below(folder, self._root)}/: '{found[stem].name}' and '{name}' have one name",
                    "An annotation belongs to the image of its name: rename one of them, or move it away.",
                )
            found[stem] = folder / name
        return found


def unannotated(root: Path, annotated: Iterable[Path], what: str) -> list[Problem]:
    """A problem for each folder with images that no annotation tells of.

    Args:
        root: the data set's folder.
        annotated: the images that are told of.
        what: why the others are not read.
    """
    folders: dict[Path, set[str]] = defaultdict(set)
    for image in annotated:
        folders[image.parent].add(image.name)
    problems = []
    for folder, names in files_below(root):
        left: Sequence[str] = [name for name in names if is_image_file(name) and name not in folders.get(folder, ())]
        if left:
            where = "the top folder" if folder == root else f"{name_below(folder, root)}/"
            problems.append(Problem(where, f"{len(left):,} images are not read: {what}: {shown(left)}"))
    return problems


def is_utf8(path: Path) -> bool:
    """Whether a path can be written down as text."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _called(folder: Path, names: Sequence[str]) -> list[Path]:
    with os.scandir(folder) as entries:
        inner = {entry.name.lower(): folder / entry.name for entry in entries if entry.is_dir()}
    return [inner[name] for name in names if name in inner]
