from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCSegmentation

from convolve.data.dataset import Dataset, Mask
from convolve.data.readers.voc_masks import VOC_CLASSES, VocMasks, voc_colours
from convolve.data.reading import MissingFile
from convolve.errors import UserError

# As printed in VOC's development kit and in many places since.
PUBLISHED = {1: (128, 0, 0), 7: (128, 128, 128), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128)}


def mask(path: Path, *, palette: bool = True, hw: tuple[int, int] = (6, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.full(hw, 3, np.uint8))
    if palette:
        image.putpalette([level for colour in voc_colours(256) for level in colour])
    image.save(path)


def pair(folder: Path, name: str, *, palette: bool = True) -> None:
    (folder / "JPEGImages").mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(folder / "JPEGImages" / f"{name}.jpg")
    mask(folder / "SegmentationClass" / f"{name}.png", palette=palette)


def listing(folder: Path, name: str, text: str, encoding: str = "utf-8") -> None:
    place = folder / "ImageSets" / "Segmentation"
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(text.encode(encoding))


def read(folder: Path) -> Dataset:
    assert VocMasks().recognise(str(folder))
    return VocMasks().read(str(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(1, 5):
        pair(tmp_path, f"2007_00000{number}")
    return tmp_path


def test_the_colour_map_is_vocs() -> None:
    colours = voc_colours(256)
    assert {value: colours[value] for value in PUBLISHED} == PUBLISHED
    assert colours[255] == (224, 224, 192)  # the void border
    assert len(set(colours)) == 256


def test_splits_are_the_lists(folder: Path) -> None:
    listing(folder, "train.txt", "2007_000003\r\n2007_000001 \n\n")
    listing(folder, "val.txt", "\ufeff2007_000002.jpg\n")
    listing(folder, "trainval.txt", "2007_000001\n2007_000002\n2007_000003\n")
    dataset = read(folder)
    assert [(sample.name, sample.split) for sample in dataset.samples] == [
        ("JPEGImages/2007_000001.jpg", "train"),
        ("JPEGImages/2007_000002.jpg", "validation"),
        ("JPEGImages/2007_000003.jpg", "train"),
    ]
    assert dataset.samples[0].target == Mask(folder / "SegmentationClass" / "2007_000001.png")
    (left,) = dataset.problems
    assert left.what == "1 masks are in no list and not read: 2007_000004"


def test_the_pairs_are_those_that_torchvision_finds(folder: Path, tmp_path: Path) -> None:
    listing(folder, "train.txt", "2007_000004\n2007_000001\n")
    listing(folder, "val.txt", "2007_000002\n")
    (tmp_path / "root" / "VOCdevkit").mkdir(parents=True)
    (tmp_path / "root" / "VOCdevkit" / "VOC2012").symlink_to(folder)
    dataset = read(folder)
    for image_set, split in (("train", "train"), ("val", "validation")):
        theirs = VOCSegmentation(str(tmp_path / "root"), image_set=image_set)
        ours = [sample for sample in dataset.samples if sample.split == split]
        assert {
            Path(image).name: Path(target).name for image, target in zip(theirs.images, theirs.masks, strict=True)
        } == {
            Path(str(sample.image)).name: Path(str(sample.target.source)).name
            for sample in ours
            if isinstance(sample.target, Mask)
        }


def test_trainval_stands_in_for_train_and_val(folder: Path) -> None:
    listing(folder, "trainval.txt", "2007_000001\n2007_000002\n")
    listing(folder, "test.txt", "2007_000003\n")
    assert [sample.split for sample in read(folder).samples] == [None, None, "test"]


def test_without_lists_it_is_every_mask(folder: Path) -> None:
    (folder / "SegmentationClass" / "2007_000002.png").unlink()
    mask(folder / "SegmentationObject" / "2007_000002.png")
    dataset = read(folder)
    assert [sample.name[-5] for sample in dataset.samples] == ["1", "3", "4"]
    assert {sample.split for sample in dataset.samples} == {None}
    assert [problem.what for problem in dataset.problems] == ["1 images have no mask and are not read: 2007_000002"]


def test_what_is_not_there_is_a_missing_file(folder: Path) -> None:
    (folder / "SegmentationClass" / "2007_000002.png").unlink()
    (folder / "JPEGImages" / "2007_000003.jpg").unlink()
    listing(folder, "train.txt", "2007_000001\n2007_000002\n2007_000003\n../../etc/passwd\n2007_000004\n")
    dataset = read(folder)
    assert [sample.name[-5] for sample in dataset.samples] == ["1", "4"]
    assert set(dataset.problems) == {
        MissingFile("ImageSets/Segmentation/train.txt, line 2", "mask '2007_000002.png' is not in SegmentationClass/"),
        MissingFile("ImageSets/Segmentation/train.txt, line 3", "image '2007_000003' is not in JPEGImages/"),
        MissingFile("ImageSets/Segmentation/train.txt, line 4", "image '../../etc/passwd' is not in JPEGImages/"),
    }


def test_a_mask_without_image_is_missing_too(folder: Path) -> None:
    (folder / "JPEGImages" / "2007_000003.jpg").unlink()
    assert read(folder).problems == (
        MissingFile("SegmentationClass/2007_000003.png", "image '2007_000003' is not in JPEGImages/"),
    )


def test_an_image_in_two_splits_is_refused(folder: Path) -> None:
    listing(folder, "train.txt", "2007_000001\n2007_000002\n")
    listing(folder, "val.txt", "\n2007_000002\n")
    with pytest.raises(UserError, match=r"val.txt, line 2: '2007_000002' is in .*train.txt, line 2 already"):
        read(folder)


def test_two_images_of_one_name_are_refused(folder: Path) -> None:
    mask(folder / "JPEGImages" / "2007_000001.png")
    with pytest.raises(UserError, match=r"'2007_000001\.jpg' and '2007_000001\.png' have one name"):
        read(folder)


def test_a_list_that_is_no_text_is_refused(folder: Path) -> None:
    listing(folder, "train.txt", "2007_000001\n2007_000002\n\xe9\n", encoding="latin-1")
    with pytest.raises(UserError, match=r"train\.txt, line 3: not UTF-8 text"):
        read(folder)
    listing(folder, "train.txt", " " * (65 << 20))
    with pytest.raises(UserError, match="are no list of names"):
        read(folder)


def test_vocs_own_masks_have_vocs_classes(folder: Path) -> None:
    dataset = read(folder)
    assert (len(dataset.classes), dataset.classes) == (21, VOC_CLASSES)
    assert dataset.coding is not None
    assert (dataset.coding.kind, dataset.coding.ignored) == ("index", (255,))
    assert dataset.coding.values[20] == (20,)
    assert dataset.coding.colours[15] == PUBLISHED[15]


@pytest.mark.parametrize("reason", ["table", "names", "palette", "broken"])
def test_other_classes_in_vocs_folders_are_settled_later(folder: Path, reason: str) -> None:
    match reason:
        case "table":
            (folder / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:128,0,0::\n")
        case "names":
            pair(folder, "frame_17")
        case "palette":
            pair(folder, "2007_000009", palette=False)
        case "broken":
            (folder / "SegmentationClass" / "2007_000001.png").write_bytes(b"no image")
    dataset = read(folder)
    assert len(dataset.samples) >= 4
    assert (dataset.classes, dataset.coding) == ((), None)


def test_both_folders_are_needed(folder: Path) -> None:
    (folder / "SegmentationClass").rename(folder / "masks")
    assert not VocMasks().recognise(str(folder))
    assert not VocMasks().recognise(str(folder / "JPEGImages" / "2007_000001.jpg"))
