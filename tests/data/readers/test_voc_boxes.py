import os
import shutil
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from convolve.data.dataset import Box, Boxes, Dataset, Note, Problem
from convolve.data.readers.voc_boxes import VocBoxes
from convolve.data.reading import MissingFile, read_dataset
from convolve.errors import UserError

DATA = os.environ.get("CONVOLVE_TEST_DATA")


def picture(path: Path, hw: tuple[int, int] = (6, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros(hw, np.uint8)).save(path)


def tell(
    path: Path,
    *boxes: tuple[float, float, float, float],
    filename: str = "",
    size: tuple[int, int] = (8, 6),
    more: str = "",
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = "".join(
        f"<object><name>nut</name>{more}<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        "</bndbox></object>\n"
        for x0, y0, x1, y1 in boxes
    )
    told = f"<filename>{filename or path.stem + '.jpg'}</filename>\n"
    size_told = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>\n"
    path.write_text(f"<annotation>\n{told}{size_told}{objects}</annotation>\n", encoding="utf-8")


def read(folder: Path) -> Dataset:
    assert VocBoxes().recognise(str(folder))
    return VocBoxes().read(str(folder))


def corners(dataset: Dataset) -> dict[str, list[tuple[float, float, float, float]]]:
    found = {}
    for sample in dataset.samples:
        assert isinstance(sample.target, Boxes)
        found[sample.name] = [box.corners for box in sample.target.objects]
    return found


def splits(dataset: Dataset) -> dict[str, str | None]:
    return {sample.name: sample.split for sample in dataset.samples}


def test_the_first_pixel_is_1_and_the_last_is_within(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages/a.jpg")
    tell(tmp_path / "Annotations/a.xml", (1, 1, 8, 6), (2, 3, 3, 3.5))
    dataset = read(tmp_path)
    assert corners(dataset) == {"JPEGImages/a.jpg": [(0, 0, 8, 6), (1, 2, 3, 3.5)]}
    assert dataset.problems == ()
    assert dataset.classes == ("nut",)


def test_a_0_anywhere_means_that_all_count_from_0(tmp_path: Path) -> None:
    for name, box in (("a", (0, 2, 8, 6)), ("b", (1, 1, 4, 4))):
        picture(tmp_path / f"JPEGImages/{name}.jpg")
        tell(tmp_path / f"Annotations/{name}.xml", box)
    dataset = read(tmp_path)
    assert corners(dataset) == {"JPEGImages/a.jpg": [(0, 2, 8, 6)], "JPEGImages/b.jpg": [(1, 1, 4, 4)]}
    (note,) = dataset.problems
    assert isinstance(note, Note)
    assert (note.where, "counted from 0" in note.what) == ("Annotations/a.xml, line 4", True)


def test_a_point_or_a_negative_corner_says_nothing_of_the_counting(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages/a.jpg")
    tell(tmp_path / "Annotations/a.xml", (0, 0, 0, 0), (-4, 2, 4, 4), (8, 6, 5, 5))
    dataset = read(tmp_path)
    assert corners(dataset) == {"JPEGImages/a.jpg": [(0, 1, 4, 4), (4, 4, 8, 6)]}
    assert [type(problem) for problem in dataset.problems] == [Problem, Note, Note]


def test_difficult_objects_are_marked(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    tell(tmp_path / "a.xml", (1, 1, 8, 6), more="<difficult>1</difficult>")
    assert read(tmp_path).samples[0].target == Boxes((6, 8), (Box(0, (0, 0, 8, 6), "difficult"),))


@pytest.mark.parametrize(
    ("image", "annotation"),
    [
        ("a.jpg", "a.xml"),
        ("images/a.png", "annotations/a.xml"),
        ("Images/a.png", "Annotations/a.xml"),
        ("images/a.png", "annotations/xmls/a.xml"),
        ("images/a.png", "a.xml"),
        ("pots/images/a.png", "pots/xml/a.xml"),
    ],
)
def test_images_and_annotations_lie_in_many_ways(image: str, annotation: str, tmp_path: Path) -> None:
    picture(tmp_path / image)
    tell(tmp_path / annotation, (1, 1, 8, 6))
    assert splits(read_dataset(str(tmp_path))) == {image: None}


@pytest.mark.parametrize(
    ("image", "annotation"),
    [
        ("{}/a_{}.jpg", "{}/a_{}.xml"),
        ("{}/images/a_{}.jpg", "{}/annotations/a_{}.xml"),
        ("images/{}/a_{}.jpg", "annotations/{}/a_{}.xml"),
    ],
)
def test_folders_can_be_splits(image: str, annotation: str, tmp_path: Path) -> None:
    expected = {}
    for word, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        picture(tmp_path / image.format(word, word))
        tell(tmp_path / annotation.format(word, word), (1, 1, 8, 6))
        expected[image.format(word, word)] = split
    assert splits(read_dataset(str(tmp_path))) == expected


def test_lists_tell_the_splits_and_trainval_is_none(tmp_path: Path) -> None:
    for name in "abcd":
        picture(tmp_path / f"JPEGImages/{name}.jpg")
        tell(tmp_path / f"Annotations/{name}.xml", (1, 1, 8, 6))
    lists = tmp_path / "ImageSets/Main"
    lists.mkdir(parents=True)
    for name, content in (
        ("train", "a\n"),
        ("val", "b\n"),
        ("test", "c\n"),
        ("trainval", "a\nb\n"),
        ("nut_val", "b -1\n"),
    ):
        (lists / f"{name}.txt").write_text(content)
    dataset = read(tmp_path)
    assert splits(dataset) == {
        "JPEGImages/a.jpg": "train",
        "JPEGImages/b.jpg": "validation",
        "JPEGImages/c.jpg": "test",
    }
    assert any("1 in all" in problem.what and problem.where == "Annotations/d.xml" for problem in dataset.problems)
    (lists / "test.txt").write_text("b\n")
    with pytest.raises(UserError, match=r"val\.txt, line 1: 'b' is in ImageSets/Main/test\.txt, line 1"):
        read(tmp_path)


def test_the_name_decides_where_its_image_is_there_and_else_what_is_told(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "b.jpg")
    tell(tmp_path / "a.xml", (1, 1, 8, 6), filename="b.jpg")
    tell(tmp_path / "c.xml", (1, 1, 4, 4), filename="/home/me/b.png")
    assert corners(read(tmp_path)) == {"a.jpg": [(0, 0, 8, 6)], "b.jpg": [(0, 0, 4, 4)]}


def test_no_image_outside_of_the_folder_is_read(tmp_path: Path) -> None:
    picture(tmp_path / "secret.jpg")
    picture(tmp_path / "data/a.jpg")
    tell(tmp_path / "data/a.xml", (1, 1, 8, 6))
    tell(tmp_path / "data/b.xml", (1, 1, 8, 6), filename="../secret.jpg")
    with pytest.raises(UserError, match=r"b\.xml: image 'secret\.jpg' is not in data/"):
        read_dataset(str(tmp_path / "data"))


def test_missing_images_and_listed_annotations_follow_the_policy_of_missing_files(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages/a.jpg")
    tell(tmp_path / "Annotations/a.xml", (1, 1, 8, 6))
    tell(tmp_path / "Annotations/b.xml", (1, 1, 8, 6))
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/train.txt").write_text("a\nb\nc\n")
    with pytest.raises(UserError, match=r"train\.txt, line 3: annotation 'c\.xml' is not in Annotations/"):
        read_dataset(str(tmp_path))
    dataset = read_dataset(str(tmp_path), missing="skip")
    assert len(dataset.samples) == 1
    assert [type(problem) for problem in dataset.problems] == [MissingFile, MissingFile]
    assert dataset.problems[1].where == "Annotations/b.xml"


def test_another_size_than_the_files_is_an_error_but_0_was_not_written(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    tell(tmp_path / "a.xml", (1, 1, 8, 6), size=(0, 0))
    assert corners(read(tmp_path)) == {"a.jpg": [(0, 0, 8, 6)]}
    tell(tmp_path / "a.xml", (1, 1, 8, 6), size=(6, 8))
    with pytest.raises(UserError, match=r"a\.xml: 'a\.jpg' has 8 x 6 pixels .* not 6 x 8"):
        read(tmp_path)


def test_images_without_an_annotation_are_not_read_but_without_an_object_they_are(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.jpg")
    tell(tmp_path / "a.xml", (1, 1, 8, 6))
    tell(tmp_path / "b.xml")
    dataset = read(tmp_path)
    assert corners(dataset) == {"a.jpg": [(0, 0, 8, 6)], "b.jpg": []}
    left_out = [problem for problem in dataset.problems if not isinstance(problem, Note)]
    assert len(left_out) == 1
    assert "c.jpg" in left_out[0].what


def test_a_malformed_file_is_named_below_the_folder(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg")
    tell(tmp_path / "annotations/a.xml", (1, 1, 8, 6))
    (tmp_path / "annotations/b.xml").write_text("<annotation>\n<object>\n")
    with pytest.raises(UserError, match=r"annotations/b\.xml, line 3: not XML"):
        read_dataset(str(tmp_path))


def test_beside_masks_boxes_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages/a.jpg")
    tell(tmp_path / "Annotations/a.xml", (1, 1, 8, 6))
    picture(tmp_path / "SegmentationClass/a.png")
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    assert read_dataset(str(tmp_path)).has_masks
    for source, task in (("", "detect"), ("Annotations", "auto"), ("ImageSets/Main", "auto")):
        dataset = read_dataset(str(tmp_path / source), task=task)
        assert corners(dataset) == {"JPEGImages/a.jpg": [(0, 0, 8, 6)]}
        assert dataset.name == tmp_path.name


@pytest.mark.skipif(DATA is None, reason="CONVOLVE_TEST_DATA is not set")
def test_blood_cells_are_all_read() -> None:
    folder = Path(str(DATA), "bccd")
    dataset = read_dataset(str(folder))
    assert len(dataset.samples) == 364
    assert dataset.classes == ("Platelets", "RBC", "WBC")
    boxes = [box for sample in dataset.samples for box in sample.target.objects]
    assert Counter(dataset.classes[box.index] for box in boxes) == {"Platelets": 361, "RBC": 4155 - 2, "WBC": 372}
    assert Counter(sample.split for sample in dataset.samples) == {"train": 205, "validation": 87, "test": 72}
    (problem,) = dataset.problems
    assert "BloodImage_00338" in problem.where
    assert "BloodImage_00343" in problem.where
    # And each box has as many pixels as the file's first and last pixels span.
    for sample in dataset.samples[:40]:
        root = ElementTree.parse(folder / "Annotations" / f"{Path(sample.name).stem}.xml")  # noqa: S314
        told = [
            [float(box.findtext(key, "")) for key in ("xmin", "ymin", "xmax", "ymax")] for box in root.iter("bndbox")
        ]
        areas = [(x1 - x0 + 1) * (y1 - y0 + 1) for x0, y0, x1, y1 in told if x1 > x0]
        found = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (box.corners for box in sample.target.objects)]
        assert found == areas


@pytest.mark.skipif(DATA is None, reason="CONVOLVE_TEST_DATA is not set")
def test_a_cell_without_its_photo_is_told(tmp_path: Path) -> None:
    for part in ("JPEGImages", "Annotations"):
        (tmp_path / part).mkdir()
    for number in (0, 1):
        for part, ending in (("JPEGImages", "jpg"), ("Annotations", "xml")):
            if (number, ending) != (1, "jpg"):
                name = f"{part}/BloodImage_0000{number}.{ending}"
                shutil.copy(Path(str(DATA), "bccd", name), tmp_path / name)
    with pytest.raises(UserError, match=r"Annotations/BloodImage_00001\.xml: image 'BloodImage_00001\.jpg' is not in"):
        read_dataset(str(tmp_path))
