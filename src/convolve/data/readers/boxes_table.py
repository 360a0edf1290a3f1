"""A table (CSV or TSV) with a row for each box."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from convolve.data.annotation_files import files_inside, image_folders, inner_path, split_files
from convolve.data.boxes.box_columns import BoxColumns, box_columns, corner_cells, has_box_columns, size_cells
from convolve.data.boxes.checking import AnnotatedImage, StatedBox, boxes_dataset
from convolve.data.boxes.folders import unannotated
from convolve.data.dataset import Dataset, Problem, Split
from convolve.data.readers.coco_masks import CocoMasks
from convolve.data.readers.image_mask_pairs import ImageMaskPairs
from convolve.data.readers.voc_masks import VocMasks
from convolve.data.reading import READERS, MissingFile, name_below
from convolve.data.table_rows import TableRow, header_of, read_rows, split_cells, wrong_rows
from convolve.errors import shown

_OF_MASKS = (ImageMaskPairs().recognise, VocMasks().recognise, CocoMasks().recognise)
_ENDING = ".[ct]sv"


class BoxesTable:
    """A header `filename,width,height,class,xmin,ymin,xmax,ymax[,split]` in any order, then a row for each box.

    Other names of the columns: path, image, image_path, file, file_name, image_name, img; label, class_name, category,
    name; x_min or x1 or left, and so on. Width and height may be absent. Corners are pixels from the image's top left
    corner, continuous. A row whose class and corners are empty says that its image shows no object.

    Images lie beside the table or in images/ there. A folder is read as the table it holds, or as one for each split:
    train_labels.csv, or train/_annotations.csv beside its images.
    """

    form = "table of boxes"
    layout = "CSV or TSV with the header filename,width,height,class,xmin,ymin,xmax,ymax, beside its images"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether it is such a file, or a folder that holds one and no masks."""
        return self.holds_boxes(source) and not any(holds(source) for holds in _OF_MASKS)

    def holds_boxes(self, source: str) -> bool:
        """Whether it is such a file, or a folder that holds one."""
        path = Path(source)
        return any(_is_table(file) for file in files_inside(path, _ENDING)) if path.is_dir() else _is_table(path)

    def read(self, source: str) -> Dataset:
        """Classes are sorted; samples are in the order of the rows, and their names the images' paths below the folder.

        Raises:
            UserError: a table is not sound, it is not clear which one is meant, or an image does not have the size that
                is told.
        """
        path = Path(source)
        root, splits, problems = split_files(path, _is_table, ending=_ENDING, kind="tables of boxes")
        images: list[AnnotatedImage] = []
        for table, split in splits.items():
            found, absences = _images(table, root, split)
            images += found
            problems += absences
        if path.is_dir():
            problems += unannotated(path, [image.image for image in images], "no row names them")
        return boxes_dataset(
            name=path.resolve().name,
            form=self.form,
            classes=sorted({box.label for image in images for box in image.boxes}),
            images=images,
            problems=problems,
        )

    def write_example(self, folder: Path) -> str:
        """A table of two 8 x 8 images with two boxes each, and one without."""
        (folder / "images").mkdir()
        rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
        for number in range(3):
            Image.fromarray(np.full((8, 8), 50 * number, np.uint8)).save(folder / "images" / f"{number}.png")
        for number in range(2):
            rows += [f"{number}.png,8,8,leaf,0,0,4,4", f"{number}.png,8,8,stem,1.5,2,8,8"]
        table = folder / "boxes.csv"
        table.write_text("\n".join([*rows, "2.png,8,8,,,,,"]) + "\n", encoding="utf-8")
        return str(folder)


READERS.add("boxes_table", BoxesTable())


def _is_table(path: Path) -> bool:
    return has_box_columns(header_of(path))


def _images(table: Path, root: Path, split: Split | None) -> tuple[list[AnnotatedImage], list[Problem]]:
    """The images of one table with their boxes, and those that are not there."""
    header, rows = read_rows(table)
    columns = box_columns(header, table)
    splits = dict(zip((row.line for row in rows), split_cells(columns.split, rows, table), strict=True))
    folders = list(image_folders(table, root, split))
    images: list[AnnotatedImage] = []
    problems: list[Problem] = []
    for name, some in _by_image(rows, columns, table).items():
        where = f"{table.name}, line {some[0].line}"
        _check_one_image(some, columns, table, splits)
        # Path.is_file raises where a name is too long.
        found = next((folder / name for folder in folders if os.path.isfile(folder / name)), None)  # noqa: PTH113
        if found is None:
            looked = shown(f"{folder.resolve().name}/" for folder in folders)
            problems.append(MissingFile(where, f"image '{name}' is not in {looked}"))
            continue
        image = AnnotatedImage(
            name=name_below(found, root),
            image=found,
            boxes=_boxes(some, columns, table),
            where=where,
            wh=size_cells(some[0], columns, table),
            split=split or splits[some[0].line],
        )
        images.append(image)
    return images, problems


def _by_image(rows: Sequence[TableRow], columns: BoxColumns, table: Path) -> dict[str, list[TableRow]]:
    by_image: dict[str, list[TableRow]] = {}
    for row in rows:
        name = inner_path(row.cells[columns.image])
        if name is None:
            told = row.cells[columns.image]
            fault = f"'{told}' is no path inside the table's folder" if told else "no image is named"
            raise wrong_rows([row], table, fault, "Write the image's path below the folder of the table.")
        by_image.setdefault(name, []).append(row)
    return by_image


def _check_one_image(
    rows: Sequence[TableRow], columns: BoxColumns, table: Path, splits: dict[int, Split | None]
) -> None:
    """All rows of an image must say the same of it."""
    size, split = size_cells(rows[0], columns, table), splits[rows[0].line]
    for row in rows[1:]:
        if size_cells(row, columns, table) != size or splits[row.line] != split:
            raise wrong_rows(
                [row],
                table,
                f"'{row.cells[columns.image]}' has another size or split than in line {rows[0].line}",
                "Write the same into all rows of an image.",
            )


def _boxes(rows: Sequence[TableRow], columns: BoxColumns, table: Path) -> list[StatedBox]:
    return [
        StatedBox(row.cells[columns.label], corners, f"{table.name}, line {row.line}")
        for row in rows
        if (corners := corner_cells(row, columns, table)) is not None
    ]
