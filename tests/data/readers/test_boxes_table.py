from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convolve.data.dataset import Boxes, Dataset, Note
from convolve.data.readers.boxes_table import BoxesTable
from convolve.data.readers.table import Table
from convolve.data.reading import MissingFile, read_dataset
from convolve.errors import UserError

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(path)


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(source: Path) -> Dataset:
    assert BoxesTable().recognise(str(source))
    assert not Table().recognise(str(source))
    return BoxesTable().read(str(source))


def boxes(dataset: Dataset) -> dict[str, list[tuple[str, tuple[float, float, float, float]]]]:
    found = {}
    for sample in dataset.samples:
        assert isinstance(sample.target, Boxes)
        found[sample.name] = [(dataset.classes[box.index], box.corners) for box in sample.target.objects]
    return found


@pytest.mark.parametrize("place", ["", "images/"])
def test_rows_of_one_image_are_its_boxes(place: str, tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{place}{name}.png")
    rows = ["a.png,8,6,nut,0,0,8,6", "b.png,8,6,nut,1,1,2,2.5", "a.png,8,6,fig,1,2,3,4"]
    table = write(tmp_path / "boxes.csv", HEADER, *rows)
    for source in (tmp_path, table):
        dataset = read(source)
        assert dataset.classes == ("fig", "nut")
        assert boxes(dataset) == {
            f"{place}a.png": [("nut", (0, 0, 8, 6)), ("fig", (1, 2, 3, 4))],
            f"{place}b.png": [("nut", (1, 1, 2, 2.5))],
        }
        assert dataset.problems == ()


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.csv", ["ymax,xmin,label,Image,ymin,xmax,difficulty", "4,1,nut,a.png,2,3,x"]),
        ("a.csv", ["x_min;y_min;x_max;y_max;class_name;path", "1;2;3;4;nut;./a.png"]),
        ("a.tsv", ["file_name\tcategory\tx1\ty1\tx2\ty2\twidth\theight", "a.png\tnut\t1\t2\t3\t4\t\t"]),
        ("a.csv", ["img,name,left,top,right,bottom,image_width,image_height", "a.png,nut,1,2,3,4,0,0"]),
    ],
)
def test_columns_have_many_names_and_any_order(name: str, lines: list[str], tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert boxes(read(write(tmp_path / name, *lines))) == {"a.png": [("nut", (1, 2, 3, 4))]}


def test_an_empty_row_says_that_nothing_is_there(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    dataset = read(write(tmp_path / "a.csv", HEADER, "a.png,8,6,,,,,", "b.png,8,6,nut,0,0,8,6"))
    assert boxes(dataset) == {"a.png": [], "b.png": [("nut", (0, 0, 8, 6))]}
    (note,) = dataset.problems
    assert isinstance(note, Note)


def test_splits_are_a_column_a_files_name_or_a_folder(tmp_path: Path) -> None:
    for number, word in enumerate(("train", "val", "test")):
        row = f"{number}.png,8,6,nut,0,0,8,6"
        picture(tmp_path / f"column/{number}.png")
        picture(tmp_path / f"files/images/{number}.png")
        picture(tmp_path / f"folders/{word}/{number}.png")
        write(tmp_path / f"files/{word}_labels.csv", HEADER, row)
        write(tmp_path / f"folders/{word}/_annotations.csv", HEADER, row)
    rows = [f"{number}.png,8,6,nut,0,0,8,6,{word}" for number, word in enumerate(("train", "valid", "test"))]
    write(tmp_path / "column/a.csv", HEADER + ",split", *rows)
    for source in ("column", "files", "folders"):
        dataset = read(tmp_path / source)
        found = {Path(sample.name).stem: sample.split for sample in dataset.samples}
        assert found == {"0": "train", "1": "validation", "2": "test"}, source
        assert dataset.problems == ()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.png,8,6,nut,nan,0,8,6", r"a\.csv, line 3: the box is nan, 0, 8, 6: not finite"),
        ("a.png,8,6,nut,x,0,8,6", r"a\.csv, line 3: x, 0, 8, 6 are not four numbers"),
        ("a.png,8,6,nut,1,,8,6", r"a\.csv, line 3: a box without its class or a corner"),
        ("a.png,8,6,,1,1,8,6", r"a\.csv, line 3: a box without its class or a corner"),
        ("a.png,8,6,nut,1,1,8", r"a\.csv, line 3: 7 cells, where the header has 8"),
        ("a.png,9,6,nut,1,1,8,6", r"a\.csv, line 3: 'a\.png' has another size or split than in line 2"),
        ("b.png,16,12,nut,1,1,8,6", r"a\.csv, line 3: 'b\.png' has 8 x 6 pixels .* not 16 x 12"),
        ("b.png,w,h,nut,1,1,8,6", r"a\.csv, line 3: 'w' x 'h' is no image's size"),
        ("../secret.png,8,6,nut,1,1,8,6", r"a\.csv, line 3: '\.\./secret\.png' is no path inside"),
        ("/secret.png,8,6,nut,1,1,8,6", r"a\.csv, line 3: '/secret\.png' is no path inside"),
        (",8,6,nut,1,1,8,6", r"a\.csv, line 3: no image is named"),
    ],
)
def test_a_bad_row_stops_it_with_its_line(row: str, words: str, tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    for name in "ab":
        picture(tmp_path / f"data/{name}.png")
    write(tmp_path / "data/a.csv", HEADER, "a.png,8,6,nut,0,0,8,6", row)
    with pytest.raises(UserError, match=words):
        read_dataset(str(tmp_path / "data"))


def test_a_missing_image_follows_the_policy_and_is_told_once(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    rows = ["a.png,8,6,nut,0,0,8,6", "b.png,8,6,nut,0,0,8,6", "b.png,8,6,nut,0,0,4,4"]
    table = write(tmp_path / "a.csv", HEADER, *rows)
    with pytest.raises(UserError, match=r"(?s)a\.csv, line 3: image 'b\.png' is not in .*only row.*data\.missing=skip"):
        read_dataset(str(table))
    dataset = read_dataset(str(table), missing="skip")
    assert [type(problem) for problem in dataset.problems] == [MissingFile]
    assert len(dataset.samples) == 1


def test_without_a_column_of_classes_it_stops(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    table = write(tmp_path / "a.csv", "filename,xmin,ymin,xmax,ymax", "a.png,0,0,8,6")
    with pytest.raises(UserError, match=r"a\.csv, line 1: no column 'class'"):
        read_dataset(str(table))


def test_images_that_no_row_names_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    picture(tmp_path / "images/b.png")
    write(tmp_path / "a.csv", HEADER, "a.png,8,6,nut,0,0,8,6")
    (unread,) = read(tmp_path).problems
    assert (unread.where, "b.png" in unread.what) == ("images/", True)


def test_a_header_alone_has_no_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not one image"):
        read_dataset(str(write(tmp_path / "a.csv", HEADER)))


def test_images_without_any_box_are_no_data_set(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(UserError, match="not one of 1 images has a box"):
        read_dataset(str(write(tmp_path / "a.csv", HEADER, "a.png,8,6,,,,,")))
