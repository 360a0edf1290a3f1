"""COCO's outlines of objects, taken as a class for every pixel."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from convolve.data.annotation_files import files_inside, image_folders, split_files
from convolve.data.coco_json import CocoFile, CocoImage, category_names, has_outlines, read_coco
from convolve.data.dataset import IGNORE, Dataset, Mask, MaskCoding, Outlines, Problem, Sample, Split
from convolve.data.decoding import BrokenImage, upright_hw
from convolve.data.masks.coco_outlines import coco_outlines
from convolve.data.masks.palette import class_colours
from convolve.data.reading import READERS, MissingFile, name_below
from convolve.errors import UserError, shown

_BACKGROUND = "background"
_MOST_CATEGORIES = 253  # with the background 254 classes, as many as 8 bits hold beside `IGNORE`


class CocoMasks:
    """A COCO file with outlines, or a folder with one, or with one for each split.

    In a folder the files lie at the top, in annotations/, or in train/, valid/ and test/ beside their images. A word in
    the file's or the folder's name is the split: instances_val2017.json. Images lie beside the file, in images/, at the
    top, or in a folder of the split's name, such as train2017/ or images/val/.

    Classes are the background and then the categories by id. Crowds count nowhere. An image whose objects are not all
    known - an outline is damaged or absent - is left out, since its mask would call the object background.
    """

    form = "COCO masks"
    layout = "COCO .json whose annotations have a segmentation, beside images/, or a folder with it"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether it is a COCO file with outlines, or a folder where one lies in its place."""
        path = Path(source)
        return any(has_outlines(file) for file in files_inside(path, ".json")) if path.is_dir() else has_outlines(path)

    def read(self, source: str) -> Dataset:
        """Samples in the order of the files; an image's name is its path below the folder.

        Raises:
            UserError: a file is not sound (see `read_coco`), or it is not clear which one is meant.
        """
        path = Path(source)
        root, splits, problems = split_files(path, has_outlines, ending=".json", kind="COCO files")
        files = [read_coco(file) for file in splits]
        names = category_names(files)
        _check_few(names, files)
        objects = [name for name in names.values() if name.casefold() != _BACKGROUND]
        indices = {key: objects.index(name) + 1 if name in objects else 0 for key, name in names.items()}
        classes = (_BACKGROUND, *objects)
        samples: list[Sample] = []
        for file, split in zip(files, splits.values(), strict=True):
            masks, faults = coco_outlines(file, indices)
            found, absences = _samples(file, masks, root, split)
            samples += found
            problems += [*file.problems, *faults, *absences]
        _check_no_image_twice(samples)
        return Dataset(
            name=path.resolve().name,
            form=self.form,
            classes=classes,
            samples=tuple(samples),
            problems=tuple(problems),
            coding=MaskCoding(
                kind="index",
                values=tuple((index,) for index in range(len(classes))),
                ignored=(IGNORE,),
                colours=((0, 0, 0), *class_colours(len(classes) - 1)),
            ),
        )

    def write_example(self, folder: Path) -> str:
        """Two 8 x 8 images: a polygon, and run lengths of another class in both of COCO's forms."""
        (folder / "images").mkdir()
        for number in range(2):
            pixels = np.full((8, 8), 100 * number, np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        square = [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0]]
        outlines = [
            (0, 3, square),
            (0, 7, {"size": [8, 8], "counts": [50, 14]}),
            (1, 7, {"size": [8, 8], "counts": "P1`0`0"}),
        ]
        content = {
            "images": [{"id": n, "file_name": f"{n}.png", "height": 8, "width": 8} for n in range(2)],
            "categories": [{"id": 3, "name": "leaf"}, {"id": 7, "name": "stem"}],
            "annotations": [
                {"id": n, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0}
                for n, (image, category, segmentation) in enumerate(outlines)
            ],
        }
        (folder / "instances.json").write_text(json.dumps(content), encoding="utf-8")
        return str(folder)


READERS.add("coco_masks", CocoMasks())


def _check_few(names: Mapping[int, str], files: Sequence[CocoFile]) -> None:
    if len(names) > _MOST_CATEGORIES:
        raise UserError(
            f"{files[0].path.name}: {len(names)} categories; masks hold at most {_MOST_CATEGORIES} and the background",
            "Leave out rare categories, or give several the same one.",
        )


def _samples(
    file: CocoFile, masks: Mapping[int, Outlines], root: Path, split: Split | None
) -> tuple[list[Sample], list[Problem]]:
    folders = list(image_folders(file.path, root, split))
    samples: list[Sample] = []
    problems: list[Problem] = []
    for position, image in enumerate(file.images):
        where = f"{file.path.name}, images[{position}]"
        # Path.is_file raises where a name is too long.
        places = (folder / image.file_name for folder in folders)
        found = next((place for place in places if os.path.isfile(place)), None)  # noqa: PTH113
        if found is None:
            looked = shown(f"{folder.resolve().name}/" for folder in folders)
            problems.append(MissingFile(where, f"image '{image.file_name}' is not in {looked}"))
        elif fault := _size_fault(found, image):
            problems.append(Problem(where, fault))
        elif image.id in masks:
            samples.append(Sample(name=name_below(found, root), image=found, target=Mask(masks[image.id]), split=split))
    return samples, problems


def _size_fault(path: Path, image: CocoImage) -> str:
    """Empty if the upright image has the size that the file tells, or cannot be read: its decoder will say why."""
    try:
        height, width = upright_hw(path)
    except BrokenImage:
        return ""
    if (width, height) == (image.width, image.height):
        return ""
    return (
        f"'{image.file_name}' has {width} x {height} pixels when it stands upright, not {image.width} x {image.height} "
        "as told there: left out"
    )


def _check_no_image_twice(samples: Sequence[Sample]) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.name in seen:
            raise UserError(
                f"image '{sample.name}' is told twice, in the split {sample.split or 'of no name'} for the second time",
                "An image belongs to one split: leave it out of one of the COCO files.",
            )
        seen.add(sample.name)
