import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convolve.data.dataset import IGNORE, Dataset, Mask, Outlines, Sample
from convolve.data.masks.outlines import draw_outlines
from convolve.data.readers.coco_masks import CocoMasks
from convolve.data.reading import MissingFile
from convolve.errors import UserError

CATEGORIES = [{"id": 7, "name": "nut"}, {"id": 3, "name": "fig"}]
HW = (6, 8)


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def picture(path: Path, hw: tuple[int, int] = HW, orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros(hw, np.uint8)).save(path, exif=exif)


def annotations(*objects: tuple[int, int, Any], **more: Any) -> list[dict[str, Any]]:
    """Of (image, category, segmentation) each."""
    return [
        {"id": n, "image_id": image, "category_id": category, "segmentation": segmentation, **more}
        for n, (image, category, segmentation) in enumerate(objects)
    ]


def tell(
    path: Path, files: list[str], told: list[dict[str, Any]], categories: list[dict[str, Any]] = CATEGORIES
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": n, "file_name": file, "height": HW[0], "width": HW[1]} for n, file in enumerate(files)]
    path.write_text(json.dumps({"images": images, "annotations": told, "categories": categories}), encoding="utf-8")


def read(folder: Path) -> Dataset:
    assert CocoMasks().recognise(str(folder))
    return CocoMasks().read(str(folder))


def drawn(sample: Sample) -> NDArray[np.uint8]:
    assert isinstance(sample.target, Mask)
    assert isinstance(sample.target.source, Outlines)
    return draw_outlines(sample.target.source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture(tmp_path / "images" / "0.png")
    picture(tmp_path / "images" / "1.png")
    return tmp_path


def test_classes_are_the_background_and_the_categories_by_id(folder: Path) -> None:
    tell(folder / "told.json", ["0.png", "1.png"], annotations((0, 7, box(1, 1, 3, 3)), (0, 3, box(4, 0, 8, 2))))
    dataset = read(folder)
    assert dataset.classes == ("background", "fig", "nut")
    assert dataset.problems == ()
    assert [(sample.name, sample.image) for sample in dataset.samples] == [
        ("images/0.png", folder / "images" / "0.png"),
        ("images/1.png", folder / "images" / "1.png"),
    ]
    expected = np.zeros(HW, np.uint8)
    expected[1:3, 1:3] = 2
    expected[0:2, 4:8] = 1
    np.testing.assert_array_equal(drawn(dataset.samples[0]), expected)
    assert (drawn(dataset.samples[1]) == 0).all()


def test_the_coding_is_told(folder: Path) -> None:
    tell(folder / "told.json", ["0.png"], annotations((0, 7, box(1, 1, 3, 3))))
    coding = read(folder).coding
    assert coding is not None
    assert (coding.kind, coding.values, coding.ignored) == ("index", ((0,), (1,), (2,)), (IGNORE,))
    assert len(set(coding.colours)) == 3


def test_a_category_called_background_is_the_background(folder: Path) -> None:
    categories = [{"id": 1, "name": "fig"}, {"id": 2, "name": "Background"}]
    tell(folder / "told.json", ["0.png"], annotations((0, 1, box(0, 0, 8, 6)), (0, 2, box(1, 1, 3, 3))), categories)
    dataset = read(folder)
    assert dataset.classes == ("background", "fig")
    assert drawn(dataset.samples[0])[2, 1:4].tolist() == [0, 0, 1]


@pytest.mark.parametrize("small_first", [False, True])
def test_the_smaller_object_is_on_top_whatever_the_order(folder: Path, small_first: bool) -> None:
    runs = {"size": HW, "counts": [6 * 2, 6 * 4, 6 * 2]}  # columns 2 to 5, 24 pixels
    objects = [(0, 7, runs), (0, 3, box(1, 1, 7, 3))]  # the box has 12
    tell(folder / "told.json", ["0.png"], annotations(*objects[:: -1 if small_first else 1]))
    assert drawn(read(folder).samples[0])[:, 2].tolist() == [2, 1, 1, 2, 2, 2]


def test_crowds_count_nowhere(folder: Path) -> None:
    tell(folder / "told.json", ["0.png"], annotations((0, 7, {"size": HW, "counts": [42, 6]}), iscrowd=1))
    assert drawn(read(folder).samples[0])[0].tolist() == [0] * 7 + [IGNORE]


@pytest.mark.parametrize(
    ("segmentation", "what"),
    [
        ([], "no segmentation"),
        (None, "no segmentation"),
        ([[1, 1, 3, 1, 3, 3, 1]], "7 numbers, an odd count"),
        ([[1, 1, 3, 1, 3, float("nan")]], "not finite"),
        ([[1, 1, 3, 1, 3, 1e9]], "far outside the image of 8 x 6 pixels"),
        ({"size": HW, "counts": [40, 7]}, "add up to 47, not to the image's 48"),
        ({"size": HW, "counts": [10**20]}, "add up to"),
        ({"size": HW, "counts": [60, -12]}, "negative"),
        ({"size": HW, "counts": []}, "run lengths are empty"),
        ({"size": HW, "counts": "0 1"}, "compressed run lengths are damaged"),
        ({"size": (8, 6), "counts": [40, 8]}, "are of 6 x 8 pixels, its image has 8 x 6"),
    ],
)
def test_an_image_with_an_unknown_object_is_left_out(folder: Path, segmentation: Any, what: str) -> None:
    told = annotations((1, 7, box(1, 1, 3, 3)), (0, 7, box(1, 1, 3, 3)), (0, 3, segmentation), (0, 3, box(2, 2, 4, 4)))
    tell(folder / "told.json", ["0.png", "1.png"], told)
    dataset = read(folder)
    assert [sample.name for sample in dataset.samples] == ["images/1.png"]
    (problem,) = dataset.problems
    assert problem.where == "told.json, annotations[2]"
    assert what in problem.what
    assert problem.what.endswith("its image is left out")


def test_lines_and_what_reaches_out_are_counted(folder: Path) -> None:
    objects = [(0, 7, [[1, 1, 5, 5], *box(0, 0, 2, 2)]), (0, 3, box(4, 3, 12, 8)), (1, 3, box(-3, -3, 1, 1))]
    tell(folder / "told.json", ["0.png", "1.png"], annotations(*objects))
    dataset = read(folder)
    lines, out = dataset.problems
    assert (lines.where, lines.what.rpartition(" (")[2]) == ("told.json, annotations[0]", "1 in all)")
    assert "fewer than three corners" in lines.what
    assert out.where == "told.json, annotations[1], annotations[2]"
    assert "reaching beyond the image" in out.what
    expected = np.zeros(HW, np.uint8)
    expected[0:2, 0:2] = 2
    expected[3:, 4:] = 1
    np.testing.assert_array_equal(drawn(dataset.samples[0]), expected)


def test_an_absent_image_is_a_missing_file(folder: Path) -> None:
    long = "x" * 5000 + ".png"
    tell(folder / "told.json", ["0.png", "9.png", long, "a\0b.png"], annotations((0, 7, box(1, 1, 3, 3))))
    dataset = read(folder)
    assert len(dataset.samples) == 1
    assert [type(problem) for problem in dataset.problems] == [MissingFile] * 3
    assert dataset.problems[0].where == "told.json, images[1]"
    assert dataset.problems[0].what.startswith("image '9.png' is not in ")
    assert dataset.problems[0].what.endswith(f"{folder.name}/, images/")


def test_an_image_of_another_size_is_left_out(folder: Path) -> None:
    picture(folder / "images" / "1.png", hw=(8, 6))
    tell(folder / "told.json", ["0.png", "1.png"], annotations((0, 7, box(1, 1, 3, 3))))
    dataset = read(folder)
    assert [sample.name for sample in dataset.samples] == ["images/0.png"]
    assert dataset.problems[0].what == (
        "'1.png' has 6 x 8 pixels when it stands upright, not 8 x 6 as told there: left out"
    )


def test_sizes_are_those_of_upright_images(folder: Path) -> None:
    picture(folder / "images" / "0.jpg", hw=(8, 6), orientation=6)
    picture(folder / "images" / "1.jpg", hw=(6, 8), orientation=6)
    tell(folder / "told.json", ["0.jpg", "1.jpg"], annotations((0, 7, box(1, 1, 3, 3))))
    dataset = read(folder)
    assert [sample.name for sample in dataset.samples] == ["images/0.jpg"]
    assert "6 x 8 pixels when it stands upright" in dataset.problems[0].what


def test_a_broken_image_is_left_to_its_decoder(folder: Path) -> None:
    (folder / "images" / "1.png").write_bytes(b"no image")
    tell(folder / "told.json", ["0.png", "1.png"], annotations((0, 7, box(1, 1, 3, 3))))
    assert len(read(folder).samples) == 2


def test_coco_itself(tmp_path: Path) -> None:
    """Its layout, of two years at once; other kinds of outlines beside the objects' are not read."""
    told = annotations((0, 7, box(1, 1, 3, 3)))
    for split in ("train", "val"):
        picture(tmp_path / f"{split}2017" / "1.png")
        picture(tmp_path / f"{split}2014" / "1.png", hw=(9, 9))
        tell(tmp_path / "annotations" / f"instances_{split}2017.json", ["1.png"], told)
        tell(tmp_path / "annotations" / f"person_keypoints_{split}2017.json", ["1.png"], told)
    (tmp_path / "annotations" / "captions_train2017.json").write_text('{"images": [], "annotations": []}')
    dataset = read(tmp_path)
    assert [(sample.name, sample.split) for sample in dataset.samples] == [
        ("train2017/1.png", "train"),
        ("val2017/1.png", "validation"),
    ]
    assert [problem.where for problem in dataset.problems] == [
        "annotations/person_keypoints_train2017.json",
        "annotations/person_keypoints_val2017.json",
    ]


def test_a_file_in_each_folder_of_a_split(tmp_path: Path) -> None:
    """As Roboflow exports it."""
    for split in ("train", "valid", "test"):
        picture(tmp_path / split / "1.png")
        tell(tmp_path / split / "_annotations.coco.json", ["1.png"], annotations((0, 7, box(1, 1, 3, 3))))
    dataset = read(tmp_path)
    assert [(sample.name, sample.split) for sample in dataset.samples] == [
        ("test/1.png", "test"),
        ("train/1.png", "train"),
        ("valid/1.png", "validation"),
    ]


def test_images_in_folders_of_splits_inside_images(tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / "1.png")
        tell(tmp_path / f"{split}.json", ["1.png"], annotations((0, 7, box(1, 1, 3, 3))))
    assert [sample.name for sample in read(tmp_path).samples] == ["images/train/1.png", "images/val/1.png"]


def test_trainval_beside_train_is_the_same_again(folder: Path) -> None:
    for name, files in (("train", ["0.png"]), ("val", ["1.png"]), ("trainval", ["0.png", "1.png"])):
        tell(folder / f"{name}.json", files, annotations((0, 7, box(1, 1, 3, 3))))
    dataset = read(folder)
    assert [sample.split for sample in dataset.samples] == ["train", "validation"]
    assert [problem.where for problem in dataset.problems] == ["trainval.json"]
    (folder / "train.json").unlink()
    (folder / "val.json").rename(folder / "test.json")
    tell(folder / "trainval.json", ["0.png"], annotations((0, 7, box(1, 1, 3, 3))))
    assert {sample.name: sample.split for sample in read(folder).samples} == {
        "images/0.png": None,
        "images/1.png": "test",
    }


def test_one_file_by_its_name(folder: Path) -> None:
    for name in ("a", "b"):
        tell(folder / f"{name}.json", ["1.png"], annotations((0, 7, box(1, 1, 3, 3))))
    assert read(folder / "a.json").samples[0].name == "images/1.png"
    with pytest.raises(UserError, match=r"2 COCO files, and not one for each split: a\.json, b\.json"):
        read(folder)


def test_an_image_in_two_splits_is_refused(folder: Path) -> None:
    for name in ("train", "test"):
        tell(folder / f"{name}.json", ["0.png", "1.png"], annotations((0, 7, box(1, 1, 3, 3))))
    with pytest.raises(UserError, match=r"image 'images/0\.png' is told twice"):
        read(folder)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([{"id": 7, "name": "date"}], "category 7 is 'date' here and 'nut' in another file"),
        ([{"id": 7, "name": "nut"}, {"id": 8, "name": "fig"}], "a category has different ids in different files"),
    ],
)
def test_categories_must_agree(folder: Path, other: list[dict[str, Any]], words: str) -> None:
    tell(folder / "test.json", ["0.png"], annotations((0, 7, box(1, 1, 3, 3))), CATEGORIES)
    tell(folder / "train.json", ["1.png"], annotations((0, 7, box(1, 1, 3, 3))), other)
    with pytest.raises(UserError, match=words):
        read(folder)


def test_a_category_may_be_in_one_file_alone(folder: Path) -> None:
    told = annotations((0, 5, box(1, 1, 3, 3)))
    tell(folder / "test.json", ["0.png"], annotations((0, 7, box(1, 1, 3, 3))))
    tell(folder / "train.json", ["1.png"], told, [{"id": 5, "name": "date"}, {"id": 3, "name": "fig"}])
    dataset = read(folder)
    assert dataset.classes == ("background", "fig", "date", "nut")
    assert [drawn(sample).max() for sample in dataset.samples] == [3, 2]


def test_more_categories_than_a_mask_holds_are_refused(folder: Path) -> None:
    told = annotations((0, 253, box(1, 1, 3, 3)))
    tell(folder / "told.json", ["0.png"], told, [{"id": n, "name": str(n)} for n in range(1, 254)])
    assert drawn(read(folder).samples[0]).max() == 253
    tell(folder / "told.json", ["0.png"], told, [{"id": n, "name": str(n)} for n in range(1, 255)])
    with pytest.raises(UserError, match="254 categories; masks hold at most 253 and the background"):
        read(folder)


def test_boxes_without_outlines_are_another_readers(folder: Path) -> None:
    tell(folder / "told.json", ["0.png"], annotations((0, 7, []), bbox=[1, 1, 2, 2]))
    assert not CocoMasks().recognise(str(folder))
    assert not CocoMasks().recognise(str(folder / "told.json"))


@pytest.fixture
def nuts() -> Path:
    if "CONVOLVE_TEST_DATA" not in os.environ:
        pytest.skip("CONVOLVE_TEST_DATA is not set")
    return Path(os.environ["CONVOLVE_TEST_DATA"]) / "nuts-coco"


def test_real_masks_are_those_of_cocos_own_tools(nuts: Path) -> None:
    """All 165 objects of 18 photos: each alone bit for bit, and each image's union."""
    tools = pytest.importorskip("pycocotools.coco")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools, about NumPy 2
        coco = tools.COCO(str(nuts / "trainval.json"))
        theirs = {key: coco.annToMask(annotation) for key, annotation in coco.anns.items()}
    dataset = read(nuts)
    assert (dataset.classes, dataset.problems) == (("background", "date", "fig", "hazelnut"), ())
    assert len(dataset.samples) == 18
    objects = 0
    for sample, image in zip(dataset.samples, coco.dataset["images"], strict=True):
        assert sample.name == f"images/{image['file_name']}"
        assert isinstance(sample.target, Mask)
        outlines = sample.target.source
        assert isinstance(outlines, Outlines)
        masks = [(coco.anns[key]["category_id"], theirs[key]) for key in coco.getAnnIds(imgIds=[image["id"]])]
        ours = [(shape.index, draw_outlines(Outlines(outlines.hw, (shape,))) > 0) for shape in outlines.shapes]
        assert sorted((index, mask.tobytes()) for index, mask in ours) == sorted(
            (index, mask.astype(bool).tobytes()) for index, mask in masks
        )
        whole = draw_outlines(outlines)
        np.testing.assert_array_equal(whole > 0, np.any([mask for _, mask in masks], axis=0))
        for index in (1, 2, 3):  # where only one class is, it is that class
            alone = np.all([mask == 0 for other, mask in masks if other != index], axis=0) & (whole > 0)
            assert (whole[alone] == index).all()
        objects += len(ours)
    assert objects == 165


def test_the_real_file_inside_annotations(nuts: Path, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    shutil.copy(nuts / "trainval.json", tmp_path / "annotations" / "instances.json")
    (tmp_path / "images").symlink_to(nuts / "images")
    assert {sample.name for sample in read(tmp_path / "annotations" / "instances.json").samples} == {
        f"images/{number}.jpg" for number in range(18)
    }
