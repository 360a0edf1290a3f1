"""One folder a class, as torchvision's ImageFolder and Keras have it, with or without a folder a split above."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from convolve.data.dataset import ClassLabel, Dataset, Problem, Sample, Split
from convolve.data.readers.boxes_table import BoxesTable
from convolve.data.readers.coco_boxes import CocoBoxes
from convolve.data.readers.coco_masks import CocoMasks
from convolve.data.readers.image_mask_pairs import ImageMaskPairs
from convolve.data.readers.table import table_in
from convolve.data.readers.voc_boxes import VocBoxes
from convolve.data.readers.voc_masks import VocMasks
from convolve.data.readers.yolo import Yolo
from convolve.data.reading import READERS, is_clutter, is_image_file, name_below, split_of_word
from convolve.errors import UserError, nearest_name, shown

_ELSEWHERE = tuple(
    reader.recognise
    for reader in (ImageMaskPairs(), VocMasks(), CocoMasks(), VocBoxes(), CocoBoxes(), Yolo(), BoxesTable())
)

_Found: TypeAlias = list[tuple[Split | None, str, Path]]
"""Split, class and file of every image."""


class ClassFolders:
    """CLASS/**/*.jpg, or train/CLASS/**/*.jpg and likewise for the other splits.

    A class folder's own folders belong to its class. There are split folders if the top has two of them, or one and
    nothing else, so a class may be called "test" or "train" among others. A folder with a table of images is the
    table's, and one where images lie beside their masks or boxes belongs to the readers of those.
    """

    form = "class folders"
    layout = "CLASS/*.jpg, or train/CLASS/*.jpg and test/CLASS/*.jpg"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether it is a folder with an image in a folder, and no table of images, masks or boxes."""
        folder = Path(source)
        if not folder.is_dir() or table_in(folder) is not None or any(holds(source) for holds in _ELSEWHERE):
            return False
        return any(is_image_file(file.name) for inner in _folders(folder) for file in _files(inner))

    def read(self, source: str) -> Dataset:
        """Classes are folders' names, sorted; an image's name is its path below the folder, in Unicode's NFC.

        Raises:
            UserError: a split has a class that train has not, or there is no train folder.
        """
        folder = Path(source)
        splits = _split_folders(folder)
        found: _Found = []
        problems = [_unread(top, folder) for top in _folders(folder) if splits and top not in splits]
        for top in {folder, *splits}:
            problems += _outside(top, folder)
        for top, split in splits.items() if splits else [(folder, None)]:
            for class_folder in _folders(top):
                files = list(_files(class_folder))
                images = [file for file in files if not _fault(file, folder)]
                if not images:
                    problems.append(Problem(name_below(class_folder, folder) + "/", "there are no images in it"))
                problems += [
                    Problem(name_below(file, folder), fault) for file in files if (fault := _fault(file, folder))
                ]
                found += [(split, _name(class_folder), image) for image in images]
        classes = tuple(sorted({name for _, name, _ in found}))
        if splits:
            _check_splits(found, source)
        index = {name: number for number, name in enumerate(classes)}
        samples = [
            Sample(name=name_below(image, folder), image=image, target=ClassLabel(index[name]), split=split)
            for split, name, image in found
        ]
        return Dataset(
            name=folder.resolve().name,
            form=self.form,
            classes=classes,
            samples=tuple(sorted(samples, key=lambda sample: sample.name)),
            problems=tuple(sorted(problems, key=lambda problem: problem.where)),
        )

    def write_example(self, folder: Path) -> str:
        """Two classes of two 8 x 8 images each."""
        for name, grey in (("dark", 40), ("light", 200)):
            (folder / name).mkdir()
            for number in range(2):
                pixels = np.full((8, 8), grey + number, np.uint8)
                Image.fromarray(pixels).save(folder / name / f"{number}.png")
        return str(folder)


READERS.add("class_folders", ClassFolders())


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_clutter(entry.name))


def _files(folder: Path) -> Iterator[Path]:
    """Everything below a folder but clutter; links to folders are not followed, since they may go round in circles."""
    for here, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not is_clutter(name)]
        yield from (Path(here, name) for name in names if not is_clutter(name))


def _fault(file: Path, root: Path) -> str:
    """Why a file of a class folder is not used; empty if it is."""
    if not is_image_file(file.name):
        return "its ending is not an image's"
    try:
        str(file.relative_to(root)).encode()
    except UnicodeEncodeError:
        return "its name or its folder's is not UTF-8: rename it"
    return ""


def _unread(top: Path, root: Path) -> Problem:
    return Problem(name_below(top, root) + "/", "it is not read: neither train, validation nor test")


def _outside(folder: Path, root: Path) -> list[Problem]:
    """What lies beside the class folders instead of in one."""
    stray = [entry for entry in folder.iterdir() if entry.is_file() and not is_clutter(entry.name)]
    images = [entry for entry in stray if is_image_file(entry.name)]
    problems = [
        Problem(name_below(entry, root), "neither a class folder nor an image")
        for entry in stray
        if entry not in images
    ]
    if images:
        where = "the top folder" if folder == root else name_below(folder, root) + "/"
        problems.append(Problem(where, f"{len(images):,} images lie in no class folder"))
    return problems


def _split_folders(folder: Path) -> dict[Path, Split]:
    """The folders that are splits, or none if all are classes."""
    folders = _folders(folder)
    splits = {top: split for top in folders if (split := split_of_word(top.name)) is not None}
    with_classes = [top for top in splits if _folders(top) and not any(is_image_file(e.name) for e in top.iterdir())]
    if not with_classes or (len(splits) < 2 and len(folders) > 1):
        return {}
    if "train" not in splits.values():
        raise UserError(
            f"{folder}: there are {shown([top.name + '/' for top in splits])} but no train/",
            "Add the folder train/ with a folder for each class.",
        )
    return splits


def _check_splits(found: _Found, source: str) -> None:
    """Nothing can be tested that was not trained."""
    held: dict[Split | None, Counter[str]] = defaultdict(Counter)
    for split, name, _ in found:
        held[split][name] += 1
    for split, counts in held.items():
        unknown = [name for name in sorted(counts) if name not in held["train"]]
        if unknown:
            near = nearest_name(unknown[0], held["train"])
            guess = f"Is it '{near}'? " if near else ""
            images = sum(counts[name] for name in unknown)
            raise UserError(
                f"{source}: {split} has {images:,} images of {_quoted(unknown)}, of which train has none",
                f"{guess}Rename the folder, move some of its images to train, or leave it out.",
            )


def _quoted(names: Sequence[str]) -> str:
    return shown(f"'{name}'" for name in names)


def _name(path: Path) -> str:
    return unicodedata.normalize("NFC", path.name)
