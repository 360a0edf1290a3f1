import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convolve.data.dataset import Dataset, Mask
from convolve.data.reading import READERS, read_dataset
from convolve.errors import UserError


def write(folder: Path, *names: str) -> str:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in {".txt", ".json", ".xml", ".csv"}:
            path.write_text("text")
        else:
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    return str(folder)


def pairs(dataset: Dataset, folder: Path) -> dict[str, str]:
    found = {}
    for sample in dataset.samples:
        assert isinstance(sample.target, Mask)
        assert isinstance(sample.target.source, Path)
        found[sample.name] = sample.target.source.relative_to(folder).as_posix()
    return found


def splits(dataset: Dataset) -> list[str | None]:
    return [sample.split for sample in dataset.samples]


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", "masks"),
        ("imgs", "labels"),
        ("JPEGImages", "Segmentation"),
        ("image", "gt"),
        ("images", "ground_truth"),
        ("Images", "Seg Masks"),
        ("photos", "photos_masks"),
        ("scans", "scans-annotations"),
    ],
)
def test_folders_of_the_usual_names(images: str, masks: str, tmp_path: Path) -> None:
    dataset = read_dataset(
        write(tmp_path, f"{images}/b.jpg", f"{images}/a x.tif", f"{masks}/a x.png", f"{masks}/b.png")
    )
    assert pairs(dataset, tmp_path) == {f"{images}/a x.tif": f"{masks}/a x.png", f"{images}/b.jpg": f"{masks}/b.png"}
    assert (dataset.form, dataset.classes, dataset.problems) == ("image/mask pairs", (), ())
    assert {(sample.split, sample.group) for sample in dataset.samples} == {(None, None)}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}/{}.jpg", "{}annot/{}.png"),
        ("{}/{}.jpg", "{}_labels/{}.png"),
        ("{}_images/{}.jpg", "{}_masks/{}.png"),
        ("{}/images/{}.jpg", "{}/masks/{}.png"),
        ("images/{}/{}.jpg", "annotations/{}/{}.png"),
        ("{}/{}.jpg", "{}/{}_mask.png"),
    ],
)
def test_splits_by_the_names_of_folders(image: str, mask: str, tmp_path: Path) -> None:
    words = {"train": "train", "val": "validation", "test": "test"}
    names = [form.format(word, 7) for word in words for form in (image, mask)]
    dataset = read_dataset(write(tmp_path, *names))
    expected = {image.format(word, 7): (mask.format(word, 7), split) for word, split in words.items()}
    found = pairs(dataset, tmp_path)
    assert {name: (found[name], split) for name, split in zip(found, splits(dataset), strict=True)} == expected
    assert {sample.group for sample in dataset.samples} == {None}


def test_sites_are_groups(tmp_path: Path) -> None:
    names = [f"Tile {n}/{part}" for n in (1, 2) for part in ("images/a 1.jpg", "masks/a 1.png")]
    dataset = read_dataset(write(tmp_path, *names))
    assert [(s.name, s.group) for s in dataset.samples] == [
        ("Tile 1/images/a 1.jpg", "Tile 1"),
        ("Tile 2/images/a 1.jpg", "Tile 2"),
    ]


def test_one_site_is_no_group(tmp_path: Path) -> None:
    dataset = read_dataset(write(tmp_path, "v1/images/a.jpg", "v1/masks/a.png", "v1/images/b.jpg", "v1/masks/b.png"))
    assert {sample.group for sample in dataset.samples} == {None}


@pytest.mark.parametrize("mask", ["a_mask", "a-label", "a.gt", "a_seg", "a_L", "mask_a", "a_segmentation"])
def test_names_with_a_word_for_the_mask(mask: str, tmp_path: Path) -> None:
    beside = read_dataset(write(tmp_path / "beside", "a.jpg", f"{mask}.png"))
    assert pairs(beside, tmp_path / "beside") == {"a.jpg": f"{mask}.png"}
    apart = read_dataset(write(tmp_path / "apart", "images/a.jpg", f"masks/{mask}.png"))
    assert pairs(apart, tmp_path / "apart") == {"images/a.jpg": f"masks/{mask}.png"}


def test_equal_names_win_over_words(tmp_path: Path) -> None:
    source = write(tmp_path, "images/a.jpg", "images/a_mask.jpg", "masks/a_mask.png", "masks/a.png")
    assert pairs(read_dataset(source), tmp_path) == {
        "images/a.jpg": "masks/a.png",
        "images/a_mask.jpg": "masks/a_mask.png",
    }


def test_names_match_in_their_case_and_in_any_unicode_form(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Ä") for form in ("NFC", "NFD"))
    source = write(tmp_path, f"images/{apart}.jpg", f"masks/{composed}.png", "images/b.jpg", "masks/B.png")
    dataset = read_dataset(source)
    assert [sample.name for sample in dataset.samples] == [f"images/{composed}.jpg"]
    assert {(p.where, p.what) for p in dataset.problems} == {
        ("images/b.jpg", "it has no mask"),
        ("masks/B.png", "a mask without an image"),
    }


def test_what_is_left_over_is_listed(tmp_path: Path) -> None:
    source = write(tmp_path, "images/a.jpg", "images/a.png", "masks/a.png", "masks/c.png", "test/x.jpg", "top.png")
    assert {(p.where, p.what) for p in read_dataset(source).problems} == {
        ("images/a.png", "not read: a.jpg has the same name"),
        ("masks/c.png", "a mask without an image"),
        ("test/", "1 images are not read: no folder of masks beside it"),
        ("the top folder", "1 images are not read: no folder of masks beside it"),
    }


def test_no_pair_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not one of 1 images has a mask of its name.*a\.jpg, masks b\.png"):
        read_dataset(write(tmp_path, "images/a.jpg", "masks/b.png"))


@pytest.mark.parametrize(
    "names",
    [
        ("cat/1.png", "dog/2.png"),
        ("labels/1.png", "plain/2.png"),
        ("images/1.png", "images/2.png", "labels/1.txt", "labels/2.txt"),
        ("train/cat/1.png", "train/dog/1.png", "test/cat/1.png"),
        ("cat/a.png", "cat/b.png", "cat/b_mask.png", "dog/c.png"),
    ],
)
def test_folders_of_classes_and_of_boxes_are_not_taken_for_pairs(names: tuple[str, ...], tmp_path: Path) -> None:
    assert not READERS["image_mask_pairs"].recognise(write(tmp_path, *names))


def camvid(folder: Path, *lines: str) -> str:
    source = write(folder, *(f"{part}/{n} x.png" for part in ("train", "trainannot") for n in range(3)))
    (folder / "train.txt").write_text("\n".join(lines), encoding="utf-8")
    return source


@pytest.mark.parametrize("start", ["", "./", "/SegNet/CamVid/", "C:\\data\\", "CamVid/"])
def test_lists_lead_to_files_by_the_ends_of_paths(start: str, tmp_path: Path) -> None:
    dataset = read_dataset(camvid(tmp_path, *(f"{start}train/{n} x.png {start}trainannot/{n} x.png" for n in range(3))))
    assert pairs(dataset, tmp_path) == {f"train/{n} x.png": f"trainannot/{n} x.png" for n in range(3)}
    assert (splits(dataset), dataset.problems) == (["train"] * 3, ())


def test_what_no_list_names_is_not_read_and_counted(tmp_path: Path) -> None:
    dataset = read_dataset(camvid(tmp_path, "train/1 x.png trainannot/2 x.png"))
    assert pairs(dataset, tmp_path) == {"train/1 x.png": "trainannot/2 x.png"}
    assert [p.what for p in dataset.problems] == ["2 images are in none of them and not read: 0 x.png, 2 x.png"]


def test_listed_files_that_are_missing_stop_unless_skipped(tmp_path: Path) -> None:
    source = camvid(tmp_path, "train/0 x.png trainannot/0 x.png", "train/1 x.png trainannot/9.png")
    with pytest.raises(UserError, match=r"train\.txt, line 2: 'trainannot/9\.png' is not in"):
        read_dataset(source)
    assert len(read_dataset(source, missing="skip").samples) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train/1 x.png ../../x.png", r"line 2: '\.\./\.\./x\.png' leads out of the folder"),
        ("train/1 x.png", "line 2: not an image and its mask"),
        ("train/0 x.png trainannot/0 x.png", "line 2: image 'train/0 x.png' is in train.txt, line 1 already"),
        ("\udcff", "line 2: not UTF-8"),
    ],
)
def test_unsound_lists_are_answered(line: str, words: str, tmp_path: Path) -> None:
    source = camvid(tmp_path)
    text = f"train/0 x.png trainannot/0 x.png\n{line}\n"
    (tmp_path / "train.txt").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=words):
        read_dataset(source)


def test_a_list_never_leads_to_a_file_outside(tmp_path: Path) -> None:
    outside = write(tmp_path / "secret", "mask.png")
    source = camvid(tmp_path / "data", "train/0 x.png trainannot/0 x.png", f"train/1 x.png {outside}/mask.png")
    dataset = read_dataset(source, missing="skip")
    assert [sample.name for sample in dataset.samples] == ["train/0 x.png"]
