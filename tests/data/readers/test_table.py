from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convolve.data.dataset import ClassLabels, Dataset, labels_of
from convolve.data.reading import read_dataset
from convolve.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("1", "2", "3", "4"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def read(folder: Path, text: str, *, name: str = "labels.csv", encoding: str = "utf-8") -> Dataset:
    (folder / name).write_bytes(text.encode(encoding))
    return read_dataset(str(folder / name))


def classes_of(dataset: Dataset) -> dict[str, list[str]]:
    return {sample.name: [dataset.classes[index] for index in labels_of(sample)] for sample in dataset.samples}


def test_paths_labels_splits_and_groups(folder: Path) -> None:
    dataset = read(
        folder,
        "path,label,split,group,remark\nimages/2.png,b,val,p1,x\nimages/1.png,a,Train,,\n\nimages/3.png,a,,p1,\n",
    )
    assert classes_of(dataset) == {"images/2.png": ["b"], "images/1.png": ["a"], "images/3.png": ["a"]}
    assert [(sample.split, sample.group) for sample in dataset.samples] == [
        ("validation", "p1"),
        ("train", None),
        (None, "p1"),
    ]
    assert dataset.samples[0].image == folder / "images" / "2.png"
    assert not dataset.several_labels


@pytest.mark.parametrize("path", ["path", "image_path", "Image", "file", "filename"])
@pytest.mark.parametrize("label", ["label", "labels", "class", "Classes"])
def test_other_names_of_columns(folder: Path, path: str, label: str) -> None:
    assert read(folder, f"{label},{path}\na,images/1.png\nb,images/2.png\n").classes == ("a", "b")


@pytest.mark.parametrize(
    ("text", "name", "encoding"),
    [
        ("path\tlabel\nimages/1.png\ta, b\nimages/2.png\tc\n", "labels.tsv", "utf-8"),
        ('path,label\n"images/1.png","a, b"\nimages/2.png,c\n', "labels.csv", "utf-8-sig"),
        ("path;label\r\nimages\\1.png;a, b\r\n.\\images\\2.png;c\r\n", "labels.csv", "utf-8-sig"),
        ('path,label\rimages/1.png,"a, b"\rimages//2.png, c \r', "labels.CSV", "utf-8"),
    ],
)
def test_dialects(folder: Path, text: str, name: str, encoding: str) -> None:
    dataset = read(folder, text, name=name, encoding=encoding)
    assert classes_of(dataset) == {"images/1.png": ["a, b"], "images/2.png": ["c"]}


def test_several_labels_in_a_cell(folder: Path) -> None:
    dataset = read(
        folder, "path,labels\nimages/1.png,cat;dog\nimages/2.png,\nimages/3.png,dog|cat|dog\nimages/4.png,cat"
    )
    assert classes_of(dataset) == {
        "images/1.png": ["cat", "dog"],
        "images/2.png": [],
        "images/3.png": ["cat", "dog"],
        "images/4.png": ["cat"],
    }
    assert all(isinstance(sample.target, ClassLabels) for sample in dataset.samples)


def test_columns_of_zeros_and_ones(folder: Path) -> None:
    dataset = read(
        folder, "path,scratch,dent,split\nimages/1.png,1,1.0,train\nimages/2.png,0,1,test\nimages/3.png,0,0,\n"
    )
    assert dataset.classes == ("scratch", "dent")
    assert classes_of(dataset) == {
        "images/1.png": ["scratch", "dent"],
        "images/2.png": ["dent"],
        "images/3.png": [],
    }


def test_a_folder_with_one_table(folder: Path) -> None:
    (folder / "labels.csv").write_text("path,label\nimages/1.png,a\nimages/2.png,b\n")
    (folder / "other.csv").write_text("time,value\n1,2\n")
    dataset = read_dataset(str(folder))
    assert (dataset.name, dataset.form, len(dataset.samples)) == (folder.name, "table", 2)


def test_absolute_paths_and_such_as_climb_are_followed(folder: Path) -> None:
    (folder / "tables").mkdir()
    text = f"path,label\n../images/1.png,a\n{folder}/images/2.png,b\n"
    assert len(read(folder / "tables", text).samples) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "path,label\nimages/1.png,a\nimages/2.png,\nimages/3.png, \n",
            r"line 3: no label \(2 such rows.*lines 3, 4\)",
        ),
        ("path,label\n,a\nimages/2.png,b\n", "line 2: no path"),
        (
            "path,label,split\nimages/1.png,a,train\nimages/2.png,b,holdout\n",
            "line 3: split 'holdout' is none of train, validation and test",
        ),
        ("path,label\nimages/1.png,a\n./images/1.png,b\n", "line 3: image 'images/1.png' is in line 2 already"),
        ("path,label\nimages/1.png,a\nimages/2.png,b,c\n", "line 3: 3 cells, where the header has 2"),
        ('path,label\n"images/\n1.png",a\nimages/2.png\n', "line 4: 1 cells"),
        ("path,age\nimages/1.png,1\nimages/2.png,34\n", "line 3: column 'age' has '34', neither 0 nor 1"),
        ("path\nimages/1.png\n", "line 1: no column 'label'"),
        ("path,label,label\nimages/1.png,a,b\n", "line 1: two columns called 'label'"),
        ("path,image,label\nimages/1.png,x,b\n", "line 1: columns 'path' and 'image' mean the same"),
        ("path,label\n", "no rows below the header"),
        ("path,label\nimages/1.png,a\n" + "x" * 200_000 + ",b\n", r"line 3: field larger than field limit"),
    ],
)
def test_faults_are_named_with_their_line(folder: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=r"labels\.csv.*" + words):
        read(folder, text)


def test_text_that_is_not_utf_8_is_named_with_its_line(folder: Path) -> None:
    with pytest.raises(UserError, match=r"labels\.csv, line 3: not UTF-8 text"):
        read(folder, "path,label\nimages/1.png,a\nimages/2.png,Müll\n", encoding="latin-1")


@pytest.mark.parametrize("name", ["nul\0.png", "x" * 5000 + ".png", "images"])
def test_names_that_no_file_can_have_are_missing(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"line 3: image '.*' is not in "):
        read(folder, f"path,label\nimages/1.png,a\n{name},b\n")


def test_a_table_without_paths_is_none(folder: Path) -> None:
    with pytest.raises(UserError, match="no data set"):
        read(folder, "time,value\n1,2\n")
