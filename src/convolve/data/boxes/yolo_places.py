"""Where YOLO's images and labels lie: by a description such as data.yaml, or by the names of folders."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convolve.data.boxes.folders import IMAGE_FOLDERS, files_below, split_of_folders
from convolve.data.boxes.yolo_labels import is_labels
from convolve.data.boxes.yolo_names import YoloDescription, is_list_of_names
from convolve.data.dataset import Note, Problem, Split
from convolve.data.reading import MissingFile, is_image_file, list_lines, name_below
from convolve.errors import UserError, shown

_LABELS = "labels"


@dataclass(frozen=True, slots=True)
class LabelledFolder:
    """A folder of images of which at least one has a label file.

    Attributes:
        folder: of the images.
        images: their names by the part before the ending.
        labels: the label files by theirs.
    """

    folder: Path
    images: dict[str, str]
    labels: dict[str, Path]


@dataclass(slots=True)
class YoloImages:
    """What was found: images with their splits and label files (None where there is none), and what is not read."""

    found: list[tuple[Path, Split | None, Path | None]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def labelled_folders(root: Path) -> Iterator[LabelledFolder]:
    """The folders below the root with images and labels of equal names.

    Labels are beside the images, or in a folder labels/ that stands for images/ in the path. One of them at least has a
    line as YOLO writes them, so that a text beside a picture is no label.

    Raises:
        UserError: two images of a folder have one name.
    """
    for folder, names in files_below(root):
        images = [name for name in names if is_image_file(name)]
        labels = _labels_of(folder, names, root) if images else {}
        stems = {_stem(name) for name in images}
        if any(is_labels(labels[stem]) for stem in stems & labels.keys()):
            yield LabelledFolder(folder, _by_stem(folder, images, root), labels)


def yolo_images(root: Path, folders: Iterable[LabelledFolder], description: YoloDescription | None) -> YoloImages:
    """The images that are to be read, in the order of their names.

    Args:
        root: the data set's folder.
        folders: all of its `labelled_folders`.
        description: which of them are read, and as which split; if it says nothing of it, or there is none, all are.

    Raises:
        UserError: an image is in two of the description's lists.
    """
    found = YoloImages()
    if description is not None and description.places:
        splits = _described_splits(root, description, found.problems)
    else:
        splits = None
    for one in folders:
        for stem, name in one.images.items():
            image = one.folder / name
            if splits is None or image in splits:
                split = split_of_folders(one.folder, root) if splits is None else splits.pop(image)
                found.found.append((image, split, one.labels.get(stem)))
        found.problems += _without_image(one, root)
    if splits:
        what = f"images are not read: no image of their folder has a label ({len(splits):,} in all)"
        found.problems.append(Problem(shown(name_below(image, root) for image in splits), what))
    found.found.sort(key=lambda one: name_below(one[0], root))
    return found


def _described_splits(root: Path, description: YoloDescription, problems: list[Problem]) -> dict[Path, Split | None]:
    """The split of each image that a description names."""
    images: dict[Path, Split | None] = {}
    taken: dict[Path, Split] = {}
    called = description.file.name
    for split, place in description.places:
        path = _resolved(place, root, description.base)
        if path is None:
            problems.append(Problem(called, f"'{place}' ({split}) is not in {root.resolve().name}/: not read"))
        elif taken.get(path) == split:
            continue
        elif path in taken:
            problems.append(Note(called, f"{taken[path]} and {split} are both '{place}': it has no split of its own"))
            images |= dict.fromkeys(_images_at(path, root, problems), None)
        else:
            taken[path] = split
            for image in _images_at(path, root, problems):
                if images.setdefault(image, split) != split:
                    raise UserError(
                        f"{called}: image '{name_below(image, root)}' is in {images[image]} as well as in {split}",
                        "An image belongs to one split: mend the lists or the folders.",
                    )
    return images


def _images_at(path: Path, root: Path, problems: list[Problem]) -> list[Path]:
    """The images in a folder, or those that a list names."""
    if path.is_dir():
        return [folder / name for folder, names in files_below(path) for name in names if is_image_file(name)]
    images = []
    called = name_below(path, root)
    for number, line in enumerate(list_lines(path, called=called), start=1):
        if name := line.strip():
            image = _resolved(name, root, "")
            if image is None or not is_image_file(image.name):
                where = f"{called}, line {number}"
                problems.append(MissingFile(where, f"image '{name}' is not in {root.resolve().name}/"))
            else:
                images.append(image)
    return images


def _resolved(place: str, root: Path, base: str) -> Path | None:
    """The folder or file below the root that is meant; a path of another machine is followed by its end."""
    parts = [part for part in place.replace("\\", "/").split("/") if part not in {"", ".", ".."} and part[-1] != ":"]
    inner = [part for part in base.replace("\\", "/").split("/") if part not in {"", ".", ".."} and part[-1] != ":"]
    for tops in (inner, []):
        for start in range(len(parts)):
            path = root.joinpath(*tops, *parts[start:])
            if os.path.exists(path):  # noqa: PTH110 Path.exists raises where a name is too long
                return path
    return root if not parts else None


def _labels_of(folder: Path, names: list[str], root: Path) -> dict[str, Path]:
    """The text files that may be labels of a folder's images, by their names without ending."""
    beside = {_stem(name): folder / name for name in names if _may_be_label(name)}
    return beside | {
        _stem(entry.name): entry
        for place in _label_folders(folder, root)
        for entry in sorted(place.iterdir())
        if _may_be_label(entry.name) and entry.is_file()
    }


def _label_folders(folder: Path, root: Path) -> list[Path]:
    """images/train/ has its labels in labels/train/."""
    parts = folder.relative_to(root).parts
    depths = [depth for depth, part in enumerate(parts) if part.lower() in IMAGE_FOLDERS]
    places = [root.joinpath(*parts[:depth], _LABELS, *parts[depth + 1 :]) for depth in depths]
    return [place for place in places if place.is_dir()]


def _may_be_label(name: str) -> bool:
    return name.lower().endswith(".txt") and not is_list_of_names(name)


def _by_stem(folder: Path, images: Iterable[str], root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in images:
        other = found.setdefault(_stem(name), name)
        if other != name:
            raise UserError(
                f"{name_below(folder, root) if folder != root else root.name}/: '{other}' and '{name}' have one name",
                "Labels belong to the image of their name: rename one of them, or move it away.",
            )
    return found


def _without_image(one: LabelledFolder, root: Path) -> list[Problem]:
    return [
        MissingFile(name_below(label, root), f"image '{stem}' is not in {one.folder.resolve().name}/")
        for stem, label in one.labels.items()
        if stem not in one.images and is_labels(label)
    ]


def _stem(name: str) -> str:
    return name.rpartition(".")[0]
