"""Pascal VOC's annotations: an XML file for each image, with the boxes of its objects."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from convolve.data.boxes.checking import AnnotatedImage, Corners, StatedBox, boxes_dataset
from convolve.data.boxes.folders import (
    ImageIndex,
    files_below,
    image_folders_of,
    is_utf8,
    split_of_folders,
    unannotated,
)
from convolve.data.boxes.voc_xml import VocFile, is_voc_xml, read_voc_xml
from convolve.data.dataset import Dataset, Note, Problem, Split
from convolve.data.readers.coco_masks import CocoMasks
from convolve.data.readers.image_mask_pairs import ImageMaskPairs
from convolve.data.readers.voc_masks import VocMasks
from convolve.data.reading import READERS, MissingFile, name_below
from convolve.data.voc_lists import listed_names
from convolve.errors import shown

_IMAGES, _ANNOTATIONS, _LISTS = "JPEGImages", "Annotations", "ImageSets/Main"
_OF_MASKS = (ImageMaskPairs().recognise, VocMasks().recognise, CocoMasks().recognise)


class VocBoxes:
    """An XML file for each image: in Annotations/ beside JPEGImages/, in annotations/ beside images/, or side by side.

    Likewise in folders called train, val and test. In VOC's own layout ImageSets/Main/train.txt, val.txt and test.txt
    tell the splits, and only what they list is read; trainval.txt stands in for the first two. The image of an
    annotation is the one of its name or, where there is none, the one that its <filename> tells.

    VOC counts pixels from 1 and its corners are the box's first and last pixels, so a box is (xmin - 1, ymin - 1, xmax,
    ymax) here (Everingham et al., "The PASCAL Visual Object Classes Challenge 2012 Development Kit", section 5.1). Many
    tools count from 0. If a box of the data set has xmin or ymin below 1, all corners are taken as they are written. A
    box whose corners are one point or one line is a slip of the hand and not one pixel wide: it is dropped.

    If the folder holds masks too, it is read for those; naming its Annotations/ or ImageSets/Main/ means the boxes.
    """

    form = "Pascal VOC boxes"
    layout = "JPEGImages/*.jpg and Annotations/*.xml with ImageSets/Main/train.txt, or .xml beside images"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether it is a folder with annotations that holds no masks, or the folder of annotations or of lists."""
        root = _root(Path(source))
        named = root != Path(source)
        return self.holds_boxes(source) and (named or not any(holds(source) for holds in _OF_MASKS))

    def holds_boxes(self, source: str) -> bool:
        """Whether it is a folder with annotations, whatever else is there."""
        path = Path(source)
        return path.is_dir() and any(is_voc_xml(file) for file in _xml_files(_root(path)))

    def read(self, source: str) -> Dataset:
        """Classes are sorted; samples are in the order of their names, which are the images' paths below the folder.

        Raises:
            UserError: an annotation or a list is not sound, or an image does not have the size that is told.
        """
        root = _root(Path(source))
        files, problems = _annotations(root)
        images, absences = _images(files, root)
        shift, notes = _counting(files)
        annotated = [
            AnnotatedImage(
                name=name_below(image, root),
                image=image,
                boxes=_boxes(file, shift),
                where=file.called,
                wh=file.wh,
                split=split,
            )
            for image, file, split in images
        ]
        return boxes_dataset(
            name=root.resolve().name,
            form=self.form,
            classes=sorted({told.label for _, file, _ in images for told in file.objects}),
            images=sorted(annotated, key=lambda one: one.name),
            problems=[
                *problems,
                *absences,
                *unannotated(root, [image for image, _, _ in images], "they have no annotation, or are in no list"),
                *notes,
            ],
        )

    def write_example(self, folder: Path) -> str:
        """Three 16 x 16 images in train and val, with a cell or a bubble of the first pixel, and a difficult one."""
        for part in (_IMAGES, _ANNOTATIONS, _LISTS):
            (folder / part).mkdir(parents=True)
        for number in range(3):
            pixels = np.full((16, 16, 3), 60 * number, np.uint8)
            Image.fromarray(pixels).save(folder / _IMAGES / f"{number}.jpg")
            boxes = [("cell" if number % 2 else "bubble", 0, 1), ("cell", 1, 5)]
            objects = "".join(
                f"<object><name>{label}</name><difficult>{difficult}</difficult><bndbox><xmin>{first}</xmin>"
                f"<ymin>{first}</ymin><xmax>9</xmax><ymax>12</ymax></bndbox></object>\n"
                for label, difficult, first in boxes
            )
            text = (
                f"<annotation>\n<filename>{number}.jpg</filename>\n"
                f"<size><width>16</width><height>16</height><depth>3</depth></size>\n{objects}</annotation>\n"
            )
            (folder / _ANNOTATIONS / f"{number}.xml").write_text(text, encoding="utf-8")
        (folder / _LISTS / "train.txt").write_text("0\n1\n", encoding="utf-8")
        (folder / _LISTS / "val.txt").write_text("2\n", encoding="utf-8")
        return str(folder)


READERS.add("voc_boxes", VocBoxes())


def _root(path: Path) -> Path:
    """The data set's folder, where its annotations' or its lists' is named."""
    if path.name.lower() == _ANNOTATIONS.lower():
        return path.parent
    lists = path.name == "Main" and path.parent.name == "ImageSets"
    return path.parent.parent if lists else path


def _xml_files(root: Path) -> Iterable[Path]:
    for folder, names in files_below(root):
        yield from (folder / name for name in names if name.lower().endswith(".xml") and (folder / name).is_file())


def _annotations(root: Path) -> tuple[list[tuple[VocFile, Split | None]], list[Problem]]:
    """The annotations that are to be read with their splits, and what is not read or not there."""
    listed = listed_names(root, _LISTS) if (root / _ANNOTATIONS).is_dir() else {}
    files: list[tuple[Path, Split | None]] = []
    others: list[str] = []
    unlisted: list[str] = []
    names = set()
    for file in _xml_files(root):
        if not is_voc_xml(file) and file.stat().st_size > 0:
            others.append(name_below(file, root))
        elif listed and file.stem not in listed:
            unlisted.append(name_below(file, root))
        else:
            names.add(file.stem)
            files.append((file, listed[file.stem][0] if listed else split_of_folders(file.parent, root)))
    problems: list[Problem] = [
        MissingFile(where, f"annotation '{name}.xml' is not in {_ANNOTATIONS}/")
        for name, (_, where) in sorted(listed.items())
        if name not in names
    ]
    if others:
        problems.append(Problem(shown(others), f"no VOC annotations: not read ({len(others):,} in all)"))
    if unlisted:
        problems.append(Problem(shown(unlisted), f"annotations are in no list and not read ({len(unlisted):,} in all)"))
    return [(read_voc_xml(file, called=name_below(file, root)), split) for file, split in files], problems


def _images(
    files: Sequence[tuple[VocFile, Split | None]], root: Path
) -> tuple[list[tuple[Path, VocFile, Split | None]], list[Problem]]:
    """Each annotation's image, and the annotations without one."""
    index = ImageIndex(root)
    places: dict[Path, list[Path]] = {}
    found = []
    problems: list[Problem] = []
    for file, split in files:
        folder = file.path.parent
        if folder not in places:
            places[folder] = image_folders_of(folder, root)
        told = file.image_name.rpartition(".")[0] or file.image_name
        image = index.image(file.path.stem, places[folder]) or index.image(told, places[folder])
        if image is None:
            looked = shown(f"{place.resolve().name}/" for place in places[folder])
            problems.append(MissingFile(file.called, f"image '{file.image_name or file.path.stem}' is not in {looked}"))
        elif not is_utf8(image.relative_to(root)):
            problems.append(Problem(name_below(image, root), "its name or its folder's is not UTF-8: rename it"))
        else:
            found.append((image, file, split or split_of_folders(image.parent, root)))
    return found, problems


def _counting(files: Sequence[tuple[VocFile, Split | None]]) -> tuple[int, list[Problem]]:
    """What is taken off the first pixel's number, 1 or 0, and why."""
    at_zero = [
        f"{file.called}, line {told.line}"
        for file, _ in files
        for told in file.objects
        if _is_box(told.corners) and any(0 <= min(told.corners[axis], told.corners[axis + 2]) < 1 for axis in (0, 1))
    ]
    if not at_zero:
        return 1, []
    what = f"boxes begin below pixel 1, VOC's first ({len(at_zero):,} in all): all boxes are read as counted from 0"
    return 0, [Note(shown(at_zero), what)]


def _boxes(file: VocFile, shift: int) -> list[StatedBox]:
    return [
        StatedBox(
            label=told.label,
            corners=_continuous(told.corners, shift),
            where=f"{file.called}, line {told.line}",
            kind="difficult" if told.difficult else "object",
        )
        for told in file.objects
    ]


def _continuous(corners: Corners, shift: int) -> Corners:
    """The edges between pixels, of the first and the last pixel; corners that are no box, and their order, are kept."""
    x0, y0, x1, y1 = corners
    if not _is_box(corners):
        return corners
    return x0 - shift * (x0 < x1), y0 - shift * (y0 < y1), x1 - shift * (x1 < x0), y1 - shift * (y1 < y0)


def _is_box(corners: Corners) -> bool:
    return corners[0] != corners[2] and corners[1] != corners[3]
