from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convolve.data.reading import is_clutter, read_dataset, split_of_word
from convolve.errors import UserError


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)


def test_what_is_not_there_gets_the_nearest_name(tmp_path: Path) -> None:
    write_image(tmp_path / "flowers" / "rose" / "1.png")
    with pytest.raises(UserError, match=r"flower: no such file or folder\n.*Did you mean .*/flowers\?"):
        read_dataset(str(tmp_path / "flower"))


def test_a_built_in_name_nearly_right_is_named() -> None:
    with pytest.raises(UserError, match=r"Did you mean digits\? Built-in data sets: digits, elpv\."):
        read_dataset("digit")


def test_a_path_into_nowhere_says_where_it_ends(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        read_dataset(str(tmp_path / "nowhere" / "flowers"))


def test_an_empty_folder_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_text("")
    with pytest.raises(UserError, match=r"the folder is empty\n.*CLASS/\*\.jpg"):
        read_dataset(str(tmp_path))


def test_what_no_reader_knows_is_described(tmp_path: Path) -> None:
    for name in ("a.xml", "b.xml", "c.npy"):
        (tmp_path / name).write_text("x")
    (tmp_path / "notes").mkdir()
    with pytest.raises(UserError, match=r"2 files \.xml, 1 files \.npy, folders notes\n.*class folders.*table"):
        read_dataset(str(tmp_path))


def test_loose_images_are_told_to_be_sorted(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png")
    with pytest.raises(UserError, match="Sort the images into one folder for each class"):
        read_dataset(str(tmp_path))


def test_a_file_that_is_no_data_set_is_named_by_its_ending(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"a \.txt file that is no data set"):
        read_dataset(str(tmp_path / "notes.txt"))


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    write_image(tmp_path / "rose" / "1.png")
    with pytest.raises(UserError, match="one class only, 'rose' with 1 images"):
        read_dataset(str(tmp_path))


def test_two_formats_in_one_folder_are_not_guessed_between(tmp_path: Path) -> None:
    write_image(tmp_path / "rose" / "1.png")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(UserError, match="class folders as well as IDX"):
        read_dataset(str(tmp_path))


def test_a_built_in_name_wins_and_says_what_it_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "digits" / "one" / "1.png")
    write_image(tmp_path / "digits" / "two" / "1.png")
    monkeypatch.chdir(tmp_path)
    built_in = read_dataset("digits")
    assert len(built_in.samples) == 1797
    assert [problem.where for problem in built_in.problems] == ["./digits"]
    assert read_dataset("./digits").classes == ("one", "two")


def test_home_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "flowers" / "rose" / "1.png")
    write_image(tmp_path / "flowers" / "tulip" / "1.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_dataset("~/flowers").classes == ("rose", "tulip")


def test_missing_files_are_counted_and_can_be_skipped(tmp_path: Path) -> None:
    rows = ["path,label"]
    for number in range(4):
        write_image(tmp_path / "images" / f"{number}.png")
        rows.append(f"images/{number}.png,{'ab'[number % 2]}")
    rows += [f"images/cell_{number}.png,a" for number in range(5)]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    with pytest.raises(UserError) as caught:
        read_dataset(str(tmp_path / "labels.csv"))
    assert str(caught.value) == (
        "labels.csv, line 6: image 'cell_0.png' is not in images/\n"
        "  5 rows in all point to missing files (also line 7, 8, 9 and 1 more). "
        "Mend them, or train on the other 4: data.missing=skip"
    )
    kept = read_dataset(str(tmp_path / "labels.csv"), missing="skip")
    assert len(kept.samples) == 4
    assert [problem.where for problem in kept.problems] == [f"labels.csv, line {line}" for line in range(6, 11)]


def test_when_all_files_are_missing_skipping_them_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\nx.png,a\ny.png,b\n")
    with pytest.raises(UserError, match="not one image"):
        read_dataset(str(tmp_path), missing="skip")
    with pytest.raises(UserError, match="Is this the right folder"):
        read_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "clutter"),
    [
        (".DS_Store", True),
        ("._1.jpg", True),
        ("Thumbs.db", True),
        ("__MACOSX", True),
        ("LICENSE", True),
        ("ReadMe.md", True),
        ("readme.png", False),
        ("notes.txt", False),
        ("rose", False),
    ],
)
def test_clutter_is_known_by_name(name: str, clutter: bool) -> None:
    assert is_clutter(name) is clutter


def test_words_for_splits() -> None:
    assert [split_of_word(word) for word in ("Train", "VAL", "valid", "validation", "testing", "rose")] == [
        "train",
        "validation",
        "validation",
        "validation",
        "test",
        None,
    ]


def test_an_empty_name_is_not_the_current_folder() -> None:
    with pytest.raises(UserError, match="no data are named"):
        read_dataset("")
