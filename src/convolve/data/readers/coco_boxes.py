"""COCO's boxes of objects."""

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from convolve.data.annotation_files import files_inside, image_folders, split_files
from convolve.data.boxes.checking import AnnotatedImage, Corners, Oddities, StatedBox, boxes_dataset
from convolve.data.boxes.folders import is_utf8
from convolve.data.coco_json import CocoAnnotation, CocoFile, category_names, has_boxes, read_coco
from convolve.data.dataset import Dataset, Problem, Split
from convolve.data.readers.coco_masks import CocoMasks
from convolve.data.readers.image_mask_pairs import ImageMaskPairs
from convolve.data.readers.voc_masks import VocMasks
from convolve.data.reading import READERS, MissingFile, name_below
from convolve.errors import UserError, shown

_OF_MASKS = (ImageMaskPairs().recognise, VocMasks().recognise, CocoMasks().recognise)
_NONE = "they have neither a bbox nor polygons: dropped"


class CocoBoxes:
    """A COCO file, or a folder with one, or with one for each split.

    Files and images lie as for COCO masks: at the top, in annotations/ and images/, or in train/, valid/ and test/
    (Roboflow's _annotations.coco.json). Classes are the categories by id. A crowd stays one: detections in it count
    nowhere. An object without a box has that of its polygons.

    If there are outlines, the source is read as masks; the task detect means the boxes.
    """

    form = "COCO boxes"
    layout = "COCO .json whose annotations have a bbox, beside images/, or a folder with it"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether it is a COCO file with boxes and no outlines, or a folder where one lies in its place."""
        return self.holds_boxes(source) and not any(holds(source) for holds in _OF_MASKS)

    def holds_boxes(self, source: str) -> bool:
        """Whether it is a COCO file with boxes or outlines, or a folder where one lies in its place."""
        path = Path(source)
        return any(has_boxes(file) for file in files_inside(path, ".json")) if path.is_dir() else has_boxes(path)

    def read(self, source: str) -> Dataset:
        """Samples in the order of the files; an image's name is its path below the folder.

        Raises:
            UserError: a file is not sound (see `read_coco`), it is not clear which one is meant, or an image does not
                have the size that is told.
        """
        path = Path(source)
        root, splits, problems = split_files(path, has_boxes, ending=".json", kind="COCO files")
        files = [read_coco(file) for file in splits]
        names = category_names(files)
        oddities = Oddities()
        images: list[AnnotatedImage] = []
        for file, split in zip(files, splits.values(), strict=True):
            boxes = _boxes(file, names, oddities)
            found, absences = _images(file, boxes, root, split)
            images += found
            problems += [*file.problems, *absences]
        return boxes_dataset(
            name=path.resolve().name,
            form=self.form,
            classes=list(names.values()),
            images=images,
            problems=[*problems, *oddities.problems()],
        )

    def write_example(self, folder: Path) -> str:
        """Two 8 x 8 images: two objects, one of them out of its image's corner, and a crowd."""
        (folder / "images").mkdir()
        for number in range(2):
            pixels = np.full((8, 8), 100 * number, np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        boxes = [(0, 3, [1.0, 1.0, 4.0, 4.5], 0), (0, 7, [0, 0, 8, 8], 0), (1, 7, [2, 2, 6, 6], 1)]
        content = {
            "images": [{"id": n, "file_name": f"{n}.png", "height": 8, "width": 8} for n in range(2)],
            "categories": [{"id": 3, "name": "leaf"}, {"id": 7, "name": "stem"}],
            "annotations": [
                {"id": n, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd}
                for n, (image, category, box, crowd) in enumerate(boxes)
            ],
        }
        (folder / "instances.json").write_text(json.dumps(content), encoding="utf-8")
        return str(folder)


READERS.add("coco_boxes", CocoBoxes())


def _boxes(file: CocoFile, names: Mapping[int, str], oddities: Oddities) -> dict[int, list[StatedBox]]:
    """The boxes of each image's id, in the file's order."""
    boxes: dict[int, list[StatedBox]] = defaultdict(list)
    called = file.path.name
    for position, annotation in enumerate(file.annotations):
        where = f"{called}, annotations[{position}]"
        corners = _corners(annotation, where)
        if corners is None:
            oddities.add(Problem, _NONE, where)
            continue
        boxes[annotation.image_id].append(
            StatedBox(names[annotation.category_id], corners, where, "crowd" if annotation.iscrowd else "object")
        )
    return boxes


def _corners(annotation: CocoAnnotation, where: str) -> Corners | None:
    if annotation.bbox:
        if len(annotation.bbox) != 4:
            raise UserError(
                f"{where}: 'bbox' has {len(annotation.bbox)} numbers, not 4",
                "It must be [left, top, width, height] in pixels.",
            )
        left, top, width, height = annotation.bbox
        return left, top, left + width, top + height
    if not isinstance(annotation.segmentation, tuple):
        return None
    xs = [x for polygon in annotation.segmentation for x in polygon[::2]]
    ys = [y for polygon in annotation.segmentation for y in polygon[1::2]]
    if not xs or not ys:
        return None
    # Unlike Python's, NumPy's min and max do not pass over NaN.
    return float(np.min(xs)), float(np.min(ys)), float(np.max(xs)), float(np.max(ys))


def _images(
    file: CocoFile, boxes: Mapping[int, Sequence[StatedBox]], root: Path, split: Split | None
) -> tuple[list[AnnotatedImage], list[Problem]]:
    folders = list(image_folders(file.path, root, split))
    looked = shown(f"{folder.resolve().name}/" for folder in folders)
    images: list[AnnotatedImage] = []
    problems: list[Problem] = []
    for position, image in enumerate(file.images):
        where = f"{file.path.name}, images[{position}]"
        # Path.is_file raises where a name is too long.
        places = (folder / image.file_name for folder in folders)
        found = next((place for place in places if os.path.isfile(place)), None)  # noqa: PTH113
        if found is None:
            problems.append(MissingFile(where, f"image '{image.file_name}' is not in {looked}"))
        elif not is_utf8(found.relative_to(root)):
            problems.append(Problem(where, "the image's name or its folder's is not UTF-8: rename it"))
        else:
            wh = image.width, image.height
            images.append(AnnotatedImage(name_below(found, root), found, boxes.get(image.id, ()), where, wh, split))
    return images, problems
