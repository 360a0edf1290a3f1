"""YOLO's labels: a text file for each image, with a line for each object."""

from pathlib import Path

import numpy as np
from PIL import Image

from convolve.data.boxes.checking import AnnotatedImage, Oddities, StatedBox, boxes_dataset
from convolve.data.boxes.folders import is_utf8, unannotated
from convolve.data.boxes.yolo_labels import YoloObject, read_labels
from convolve.data.boxes.yolo_names import (
    YoloDescription,
    description_in,
    is_description,
    names_beside,
    read_description,
)
from convolve.data.boxes.yolo_places import LabelledFolder, labelled_folders, yolo_images
from convolve.data.dataset import Dataset, Note, Problem
from convolve.data.readers.coco_masks import CocoMasks
from convolve.data.readers.image_mask_pairs import ImageMaskPairs
from convolve.data.readers.voc_masks import VocMasks
from convolve.data.reading import READERS, name_below
from convolve.errors import UserError, shown

_OF_MASKS = (ImageMaskPairs().recognise, VocMasks().recognise, CocoMasks().recognise)
_MOST_NUMBERED = 10_000
_ABSENT = "images have no label file: taken to show no object"


class Yolo:
    """images/x.jpg with labels/x.txt, or x.txt beside x.jpg, at the top or in folders for each split on either side.

    A line is `class cx cy w h` in shares of the image's width and height, or `class x y x y x y ...`, a polygon, whose
    box is taken. data.yaml (or another YAML with names) tells the classes and which folders or lists are train, val and
    test; without one the names are in classes.txt or obj.names, and splits are folders' names. Paths of data.yaml are
    looked for in its own folder only. An image without a label file shows no object; a folder of images of which none
    has one is not read.
    """

    form = "YOLO boxes"
    layout = "images/*.jpg and labels/*.txt with data.yaml or classes.txt"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether it is a folder with labels but no masks, or a data.yaml with labels in its folder."""
        path = Path(source)
        return self.holds_boxes(source) and not (path.is_dir() and any(holds(source) for holds in _OF_MASKS))

    def holds_boxes(self, source: str) -> bool:
        """Whether it is a folder with labels of images, or a data.yaml in such a folder."""
        path = Path(source)
        if not path.is_dir() and not is_description(path):
            return False
        return _any_labels(_root(path))

    def read(self, source: str) -> Dataset:
        """Classes are in the order of their numbers; samples in that of their names, the images' paths below the root.

        Raises:
            UserError: a label file or the description is not sound, or a class has no name.
        """
        path = Path(source)
        root = _root(path)
        file = path if path.is_file() else description_in(root)
        description = read_description(file) if file is not None else None
        folders = list(labelled_folders(root))
        images = yolo_images(root, folders, description)
        oddities = Oddities()
        labels: dict[Path, list[YoloObject]] = {}
        for image, _, label in images.found:
            if label is None:
                oddities.add(Note, _ABSENT, name_below(image, root))
            labels[image] = read_labels(label, called=name_below(label, root)) if label else []
        most = max((told.number for objects in labels.values() for told in objects), default=-1)
        names, told_by = _names(root, folders, description, most)
        annotated: list[AnnotatedImage] = []
        for image, split, label in images.found:
            if not is_utf8(image.relative_to(root)):
                oddities.add(Problem, "their names or folders are not UTF-8: rename them", name_below(image, root))
                continue
            where = name_below(label or image, root)
            boxes = [_stated(told, names, where, told_by) for told in labels[image]]
            annotated.append(AnnotatedImage(name_below(image, root), image, boxes, where, split=split, relative=True))
        unnamed = [] if told_by else [Note("classes", "no list of names: classes are called by their numbers")]
        why = "no labels" if description is None else f"no labels, or not in {description.file.name}"
        return boxes_dataset(
            name=root.resolve().name,
            form=self.form,
            classes=names,
            images=annotated,
            problems=[
                *images.problems,
                *unannotated(root, [image for image, _, _ in images.found], why),
                *unnamed,
                *oddities.problems(),
            ],
        )

    def write_example(self, folder: Path) -> str:
        """Two 8 x 8 images in train and one in val, with boxes, a polygon and an empty label file."""
        lines = ["0 0.5 0.5 0.5 0.25\n1 0.25 0.25 0.5 0.5\n", "1 0.1 0.1 0.9 0.1 0.5 0.9\n", ""]
        for number, text in enumerate(lines):
            split = "val" if number == 1 else "train"
            for part in ("images", "labels"):
                (folder / part / split).mkdir(parents=True, exist_ok=True)
            pixels = np.full((8, 8, 3), 60 * number, np.uint8)
            Image.fromarray(pixels).save(folder / "images" / split / f"{number}.png")
            (folder / "labels" / split / f"{number}.txt").write_text(text, encoding="utf-8")
        described = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: leaf\n  1: stem\n"
        (folder / "data.yaml").write_text(described, encoding="utf-8")
        return str(folder)


READERS.add("yolo", Yolo())


def _root(path: Path) -> Path:
    """The data set's folder, where its description or its labels are named."""
    return path.parent if path.is_file() or path.name == "labels" else path


def _any_labels(root: Path) -> bool:
    try:
        return next(labelled_folders(root), None) is not None
    except UserError:  # two images of one name, which reading tells
        return True


def _names(
    root: Path, folders: list[LabelledFolder], description: YoloDescription | None, most: int
) -> tuple[tuple[str, ...], str]:
    """The classes' names, and the file that tells them; numbers and no file where none does."""
    if description is not None:
        return description.names, description.file.name
    of_labels = (label.parent for one in folders for label in list(one.labels.values())[:1])
    inner = (place for folder in of_labels for place in (folder, folder.parent) if place.is_relative_to(root))
    beside = names_beside(dict.fromkeys([root, *inner]))
    if beside is not None:
        return beside[0], name_below(beside[1], root)
    if most >= _MOST_NUMBERED:
        raise UserError(
            f"{root}: a label's class is {most}, and there is no list of names",
            "Write data.yaml with names, or classes.txt with a name a line.",
        )
    return tuple(str(number) for number in range(most + 1)), ""


def _stated(told: YoloObject, names: tuple[str, ...], where: str, told_by: str) -> StatedBox:
    if not 0 <= told.number < len(names):
        raise UserError(
            f"{where}, line {told.line}: no class {told.number}",
            f"The classes are 0 to {len(names) - 1} in {told_by or 'the labels'}: {shown(names, at_most=10)}.",
        )
    return StatedBox(names[told.number], told.corners, f"{where}, line {told.line}")
