from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.ops import box_convert

from convolve.data.boxes.yolo_labels import read_labels
from convolve.data.dataset import Boxes, Dataset, Note, Problem
from convolve.data.readers.yolo import Yolo
from convolve.data.reading import MissingFile, read_dataset
from convolve.errors import UserError

WHOLE = "0 0.5 0.5 1 1\n"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def read(source: Path) -> Dataset:
    assert Yolo().recognise(str(source))
    return Yolo().read(str(source))


def boxes(dataset: Dataset, row: int = 0) -> list[tuple[str, tuple[float, float, float, float]]]:
    target = dataset.samples[row].target
    assert isinstance(target, Boxes)
    return [(dataset.classes[box.index], box.corners) for box in target.objects]


def splits(dataset: Dataset) -> dict[str, str | None]:
    return {sample.name: sample.split for sample in dataset.samples}


def left_out(dataset: Dataset) -> list[Problem]:
    return [problem for problem in dataset.problems if not isinstance(problem, Note)]


def test_a_line_is_a_box_by_its_centre_or_a_polygon(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", "1 0.5 0.5 0.5 1\n0 0.25 0 1 0.5 0.5 1\n\n1.0 0.5 0.5 1 1")
    write(tmp_path / "classes.txt", "fig\nnut\n\n")
    dataset = read(tmp_path)
    assert dataset.classes == ("fig", "nut")
    assert boxes(dataset) == [("nut", (2, 0, 6, 6)), ("fig", (2, 0, 8, 6)), ("nut", (0, 0, 8, 6))]
    assert dataset.problems == ()


share = st.floats(0, 1, width=32)


@given(st.lists(st.tuples(share, share, share, share), min_size=1))
def test_corners_are_those_of_torchvision(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[float, float, float, float]]
) -> None:
    file = tmp_path_factory.mktemp("labels") / "a.txt"
    file.write_text("\n".join(f"3 {x!r} {y!r} {w!r} {h!r}" for x, y, w, h in told))
    found = [one.corners for one in read_labels(file, called="a.txt")]
    expected = box_convert(torch.tensor(told, dtype=torch.float64), "cxcywh", "xyxy")
    assert np.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{0}/images/{0}.png", "{0}/labels/{0}.txt"),
        ("images/{0}/{0}.png", "labels/{0}/{0}.txt"),
        ("{0}/{0}.png", "{0}/{0}.txt"),
    ],
)
def test_folders_can_be_splits(image: str, label: str, tmp_path: Path) -> None:
    expected = {}
    for word, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        picture(tmp_path / image.format(word))
        write(tmp_path / label.format(word), WHOLE)
        expected[image.format(word)] = split
    assert splits(read_dataset(str(tmp_path))) == expected


@pytest.mark.parametrize("names", ["names: [fig, no]", "names:\n- fig\n- no", "names:\n  1: no\n  0: fig"])
@pytest.mark.parametrize(
    "places",
    [
        "train: images/a\nval: images/b",
        "path: ../datasets/x\ntrain: images/a/\nval: ./images/b",
        "path: images\ntrain: [a]\nval: b\ntest:",
        "train: ../images/a\nval: ../images/b",
        "train: C:\\data\\images\\a\nval: /home/me/x/images/b",
        "train: a.txt\nval: b.txt",
    ],
)
def test_a_description_tells_classes_and_splits(names: str, places: str, tmp_path: Path) -> None:
    for word in "ab":
        picture(tmp_path / f"images/{word}/{word}.png")
        write(tmp_path / f"labels/{word}/{word}.txt", "1 0.5 0.5 1 1\n")
        write(tmp_path / f"{word}.txt", f"./images/{word}/{word}.png\n")
    write(tmp_path / "data.yaml", f"{places}\nnc: 2\n{names}\n")
    for source in (tmp_path, tmp_path / "data.yaml"):
        dataset = read_dataset(str(source))
        assert dataset.classes == ("fig", "no")
        assert splits(dataset) == {"images/a/a.png": "train", "images/b/b.png": "validation"}
        assert left_out(dataset) == []
        assert dataset.name == tmp_path.name


def test_one_folder_for_train_and_val_is_no_split(tmp_path: Path) -> None:
    """As in coco128, which is made to try a training out."""
    picture(tmp_path / "images/train2017/a.png")
    write(tmp_path / "labels/train2017/a.txt", WHOLE)
    write(tmp_path / "coco128.yaml", "train: images/train2017\nval: images/train2017\nnames: [fig]\n")
    dataset = read_dataset(str(tmp_path))
    assert splits(dataset) == {"images/train2017/a.png": None}
    assert any("no split of its own" in problem.what for problem in dataset.problems)


def test_what_a_description_leaves_out_or_does_not_find_is_told(tmp_path: Path) -> None:
    for word in "ab":
        picture(tmp_path / f"images/{word}/{word}.png")
        write(tmp_path / f"labels/{word}/{word}.txt", WHOLE)
    write(tmp_path / "data.yaml", "train: images/a\ntest: images/c\nnames: [fig]\n")
    dataset = read_dataset(str(tmp_path))
    assert splits(dataset) == {"images/a/a.png": "train"}
    assert sorted(problem.where for problem in left_out(dataset)) == ["data.yaml", "images/b/"]


def test_an_image_in_two_lists_stops_it(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", WHOLE)
    write(tmp_path / "train.txt", "images/a.png\n")
    write(tmp_path / "val.txt", "images/a.png\n")
    write(tmp_path / "data.yaml", "train: train.txt\nval: val.txt\nnames: [fig]\n")
    with pytest.raises(UserError, match=r"data\.yaml: image 'images/a\.png' is in train as well as in validation"):
        read_dataset(str(tmp_path))


def test_no_file_outside_of_the_folder_is_read(tmp_path: Path) -> None:
    picture(tmp_path / "secret/images/b.png")
    write(tmp_path / "secret/labels/b.txt", WHOLE)
    picture(tmp_path / "data/images/a.png")
    write(tmp_path / "data/labels/a.txt", WHOLE)
    secret = tmp_path / "secret/images"
    write(tmp_path / "data/data.yaml", f"train: [images, ../secret/images, {secret}]\nnames: [fig]\n")
    dataset = read_dataset(str(tmp_path / "data"))
    # The last parts of both paths are images/, which the folder has.
    assert splits(dataset) == {"images/a.png": "train"}


def test_images_without_labels_are_negatives_where_others_of_their_folder_have_some(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "train/c", "test/d"):
        picture(tmp_path / f"images/{name}.png")
    write(tmp_path / "labels/train/a.txt", WHOLE)
    write(tmp_path / "labels/train/b.txt", "")
    dataset = read(tmp_path)
    assert [len(boxes(dataset, row)) for row in range(3)] == [1, 0, 0]
    notes = [problem for problem in dataset.problems if isinstance(problem, Note)]
    assert [(note.where, "no label file" in note.what) for note in notes][:2] == [
        ("classes", False),
        ("images/train/c.png", True),
    ]
    (unread,) = left_out(dataset)
    assert (unread.where, "1 images are not read" in unread.what) == ("images/test/", True)


def test_without_names_classes_are_numbers(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    write(tmp_path / "a.txt", "2 0.5 0.5 1 1\n")
    dataset = read(tmp_path)
    assert dataset.classes == ("0", "1", "2")
    assert [problem.where for problem in dataset.problems] == ["classes", "classes"]
    write(tmp_path / "a.txt", "99999999 0.5 0.5 1 1\n")
    with pytest.raises(UserError, match="a label's class is 99999999, and there is no list of names"):
        read(tmp_path)


def test_labels_without_an_image_follow_the_policy_of_missing_files(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", WHOLE)
    write(tmp_path / "labels/b.txt", WHOLE)
    write(tmp_path / "labels/classes.txt", "fig\n")
    with pytest.raises(UserError, match=r"(?s)labels/b\.txt: image 'b' is not in images/.*data\.missing=skip"):
        read_dataset(str(tmp_path))
    dataset = read_dataset(str(tmp_path), missing="skip")
    assert dataset.classes == ("fig",)
    assert [type(problem) for problem in dataset.problems] == [MissingFile]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2 0.5 0.5 1 1", r"labels/a\.txt, line 2: no class 2"),
        ("-1 0.5 0.5 1 1", r"labels/a\.txt, line 2: no class -1"),
        ("0 nan 0.5 1 1", r"labels/a\.txt, line 2: the box is nan"),
        ("0 0.5 inf 1 1", r"labels/a\.txt, line 2: the box is .*inf"),
        ("0 0 0 1 0 1 nan", r"labels/a\.txt, line 2: a coordinate is not finite"),
        ("0.5 0.5 0.5 1 1", r"labels/a\.txt, line 2: '0\.5' is no class's number"),
        ("nan 0.5 0.5 1 1", r"labels/a\.txt, line 2: 'nan' is no class's number"),
        ("fig 0.5 0.5 1 1", r"labels/a\.txt, line 2: it is not numbers alone"),
        ("0 0.5 0.5 1", r"labels/a\.txt, line 2: 4 numbers are neither"),
        ("0 0.5 0.5 1 1 0.9", r"labels/a\.txt, line 2: 6 numbers are neither"),
    ],
)
def test_a_bad_line_stops_it_with_its_place(line: str, words: str, tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", f"{WHOLE}{line}\n")
    write(tmp_path / "classes.txt", "fig\nnut\n")
    with pytest.raises(UserError, match=words):
        read_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: [fig\ntrain: x", r"data\.yaml, line 2: not YAML"),
        ("names: [&a fig, *a]", r"data\.yaml: it has aliases"),
        ("names: [fig, fig]", r"data\.yaml: the name of class 1 is 'fig' once more"),
        ("names: {0: fig, 2: nut}", r"data\.yaml: the keys of 'names' are not 0 to 1"),
        ("names: fig", r"data\.yaml: 'names' is no list of classes"),
        ("names: [[fig]]", r"data\.yaml: 'names' is neither a text nor a list"),
        ("names: [!!python/object/apply:os.system [touch x]]", r"data\.yaml: 'names' is neither a text nor a list"),
        (f"names: {'[' * 500_000}", r"data\.yaml: not YAML of a data set: 17 lists in each other"),
    ],
)
def test_a_bad_description_stops_it(text: str, words: str, tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", WHOLE)
    write(tmp_path / "data.yaml", text)
    with pytest.raises(UserError, match=words):
        read_dataset(str(tmp_path))


def test_texts_beside_pictures_are_no_labels(tmp_path: Path) -> None:
    for word in "ab":
        picture(tmp_path / f"{word}/1.png")
        write(tmp_path / f"{word}/1.txt", "a picture of 5 nuts\n")
    assert not Yolo().holds_boxes(str(tmp_path))
    assert read_dataset(str(tmp_path)).form == "class folders"


def test_names_are_the_files_own_in_any_writing(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "nüsse 1.v2.png")
    write(tmp_path / "labels" / "nüsse 1.v2.txt", WHOLE)
    assert splits(read(tmp_path)) == {"images/nüsse 1.v2.png": None}
