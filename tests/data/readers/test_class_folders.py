import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from convolve.data.dataset import Dataset, labels_of
from convolve.data.reading import read_dataset
from convolve.errors import UserError


def write(folder: Path, *names: str) -> str:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in {".png", ".jpg"}:
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
        else:
            path.write_text("not an image")
    return str(folder)


def where(dataset: Dataset) -> list[str]:
    return [problem.where for problem in dataset.problems]


def test_torchvision_reads_the_same(tmp_path: Path) -> None:
    source = write(tmp_path, "b/2.png", "b/10.png", "a/x.jpg", "a/deep/er/y.JPG", "C/1.png")
    ours, theirs = read_dataset(source), ImageFolder(source)
    assert list(ours.classes) == theirs.classes
    expected = {(Path(path), label) for path, label in theirs.samples}
    assert {(sample.image, labels_of(sample)[0]) for sample in ours.samples} == expected


def test_names_are_paths_in_one_order(tmp_path: Path) -> None:
    dataset = read_dataset(write(tmp_path, "b/2.png", "b/10.png", "a/deep/y.png"))
    assert [sample.name for sample in dataset.samples] == ["a/deep/y.png", "b/10.png", "b/2.png"]
    assert (dataset.name, dataset.form, dataset.given_splits) == (tmp_path.name, "class folders", frozenset())


def test_split_folders_in_any_spelling(tmp_path: Path) -> None:
    dataset = read_dataset(write(tmp_path, "Train/a/1.png", "Train/b/1.png", "valid/a/2.png", "test/b/3.png"))
    assert {sample.name: sample.split for sample in dataset.samples} == {
        "Train/a/1.png": "train",
        "Train/b/1.png": "train",
        "valid/a/2.png": "validation",
        "test/b/3.png": "test",
    }


def test_classes_may_be_called_like_splits(tmp_path: Path) -> None:
    dataset = read_dataset(write(tmp_path, "bus/1.png", "car/1.png", "train/steam/1.png"))
    assert dataset.classes == ("bus", "car", "train")
    assert dataset.given_splits == frozenset()


def test_two_classes_train_and_test_without_folders_inside_are_classes(tmp_path: Path) -> None:
    assert read_dataset(write(tmp_path, "train/1.png", "test/1.png")).classes == ("test", "train")


def test_clutter_is_passed_over_and_the_rest_is_reported(tmp_path: Path) -> None:
    clutter = [
        "LICENSE",
        "a/.thumbnails/1.png",
        "a/Thumbs.db",
        "a/._1.png",
        ".cache/x.png",
        "__MACOSX/a/1.png",
        "a/README.txt",
    ]
    other = ["notes.txt", "a/1.heic", "a/boxes.json"]
    dataset = read_dataset(write(tmp_path, "a/1.png", "b/1.png", "loose.png", *clutter, *other))
    assert [sample.name for sample in dataset.samples] == ["a/1.png", "b/1.png"]
    assert where(dataset) == ["a/1.heic", "a/boxes.json", "notes.txt", "the top folder"]


def test_a_class_without_images_is_reported(tmp_path: Path) -> None:
    source = write(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "c").mkdir()
    dataset = read_dataset(source)
    assert (dataset.classes, where(dataset)) == (("a", "b"), ["c/"])


def test_unlabelled_test_images_and_further_folders_are_reported(tmp_path: Path) -> None:
    dataset = read_dataset(write(tmp_path, "train/a/1.png", "train/b/1.png", "test/9.png", "extra/a/1.png"))
    assert len(dataset.samples) == 2
    assert where(dataset) == ["extra/", "test/"]


def test_a_class_that_train_lacks_is_an_error_with_words(tmp_path: Path) -> None:
    source = write(tmp_path, "train/shirt/1.png", "train/shoe/1.png", "test/shirts/1.png", "test/shirts/2.png")
    with pytest.raises(UserError, match=r"test has 2 images of 'shirts', of which train has none\n.*Is it 'shirt'\?"):
        read_dataset(source)


def test_splits_without_train_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there are test/, val/ but no train/"):
        read_dataset(write(tmp_path, "val/a/1.png", "test/b/1.png"))


def test_names_are_composed_alike_on_every_system(tmp_path: Path) -> None:
    decomposed = "Ku\u0308che"  # as macOS may store it
    dataset = read_dataset(write(tmp_path, f"{decomposed}/1.png", "Bad/1.png"))
    assert dataset.classes == ("Bad", "K\u00fcche")
    assert dataset.samples[1].name == "K\u00fcche/1.png"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_a_name_that_is_not_utf_8_is_reported(tmp_path: Path) -> None:
    source = write(tmp_path, "a/1.png", "b/1.png", "a/caf\udce9.png")
    dataset = read_dataset(source)
    assert len(dataset.samples) == 2
    assert where(dataset) == ["a/caf?.png"]


def test_links_in_circles_end(tmp_path: Path) -> None:
    source = write(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert len(read_dataset(source).samples) == 2
