import contextlib
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convolve.data.dataset import Box, Boxes, Dataset, Note, Problem
from convolve.data.readers.coco_boxes import CocoBoxes
from convolve.data.readers.coco_masks import CocoMasks
from convolve.data.reading import read_dataset
from convolve.errors import UserError

DATA = os.environ.get("CONVOLVE_TEST_DATA")
CATEGORIES = [{"id": 7, "name": "nut"}, {"id": 3, "name": "fig"}]
SQUARE = [[1.0, 1.0, 5.0, 1.0, 5.0, 4.0, 1.0, 4.0]]


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(path)


def tell(path: Path, files: list[str], *told: dict[str, Any], hw: tuple[int, int] = (6, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": n, "file_name": file, "height": hw[0], "width": hw[1]} for n, file in enumerate(files)]
    annotations = [{"id": n, "image_id": 0, "category_id": 7} | one for n, one in enumerate(told)]
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    path.write_text(json.dumps(content), encoding="utf-8")


def read(folder: Path) -> Dataset:
    assert CocoBoxes().recognise(str(folder))
    return CocoBoxes().read(str(folder))


def objects(dataset: Dataset, row: int = 0) -> tuple[Box, ...]:
    target = dataset.samples[row].target
    assert isinstance(target, Boxes)
    return target.objects


def test_a_box_is_left_top_width_height_and_a_crowd_stays_one(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    told = [{"bbox": [1, 2.5, 3, 3.5], "category_id": 3}, {"bbox": [0, 0, 8, 6], "iscrowd": 1}]
    tell(tmp_path / "boxes.json", ["a.png"], *told)
    dataset = read(tmp_path)
    assert dataset.classes == ("fig", "nut")
    assert objects(dataset) == (Box(0, (1, 2.5, 4, 6)), Box(1, (0, 0, 8, 6), "crowd"))
    assert [sample.name for sample in dataset.samples] == ["images/a.png"]
    assert dataset.problems == ()


def test_polygons_stand_in_for_a_box_and_without_both_the_object_is_dropped(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    two = [*SQUARE, [6, 2, 8, 2, 7, 5.5]]
    told = [{"segmentation": two}, {"segmentation": [], "bbox": []}, {"segmentation": SQUARE, "bbox": [0, 0, 2, 2]}]
    tell(tmp_path / "boxes.json", ["a.png"], *told)
    dataset = CocoBoxes().read(str(tmp_path))
    assert objects(dataset) == (Box(1, (1, 1, 8, 5.5)), Box(1, (0, 0, 2, 2)))
    dropped = dataset.problems[0]
    assert type(dropped) is Problem
    assert (dropped.where, "neither a bbox nor polygons" in dropped.what) == ("boxes.json, annotations[1]", True)


def test_outlines_are_masks_unless_boxes_are_asked_for(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    tell(tmp_path / "both.json", ["a.png"], {"segmentation": SQUARE, "bbox": [1, 1, 4, 3]})
    for source in (tmp_path, tmp_path / "both.json"):
        assert CocoMasks().recognise(str(source))
        assert not CocoBoxes().recognise(str(source))
        assert read_dataset(str(source)).has_masks
        assert read_dataset(str(source), task="segment").has_masks
        assert objects(read_dataset(str(source), task="detect")) == (Box(1, (1, 1, 5, 4)),)


def test_splits_are_in_names_of_files_or_folders(tmp_path: Path) -> None:
    for word in ("train", "val"):
        picture(tmp_path / f"coco/{word}2017/{word}.png")
        tell(tmp_path / f"coco/annotations/instances_{word}2017.json", [f"{word}.png"], {"bbox": [0, 0, 2, 2]})
    for word in ("train", "valid", "test"):
        picture(tmp_path / f"roboflow/{word}/{word}.png")
        tell(tmp_path / f"roboflow/{word}/_annotations.coco.json", [f"{word}.png"], {"bbox": [0, 0, 2, 2]})
    assert [sample.split for sample in read(tmp_path / "coco").samples] == ["train", "validation"]
    found = {sample.name: sample.split for sample in read(tmp_path / "roboflow").samples}
    assert found == {"train/train.png": "train", "valid/valid.png": "validation", "test/test.png": "test"}


def test_negatives_and_bare_classes_are_noted(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    tell(tmp_path / "boxes.json", ["a.png", "b.png"], {"bbox": [0, 0, 2, 2]})
    dataset = read(tmp_path)
    assert objects(dataset, 1) == ()
    assert all(isinstance(problem, Note) for problem in dataset.problems)
    assert [problem.where for problem in dataset.problems] == ["b.png", "classes"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"bbox": [0, 0, float("nan"), 2]}, r"boxes\.json, annotations\[1\]: the box is 0, 0, nan, 2: not finite"),
        ({"bbox": [0, 0, 1e999, 2]}, r"annotations\[1\]: the box is 0, 0, inf"),
        ({"bbox": [0, 0, 2]}, r"annotations\[1\]: 'bbox' has 3 numbers"),
        ({"bbox": [0, 0, "2", 2]}, r"annotations\[1\]: 'bbox' is no list of numbers"),
        ({"bbox": [0, 0, 2, 2], "category_id": 9}, r"annotations\[1\]: no category has the id 9"),
        ({"segmentation": [[1, 1, float("nan"), 2, 3, 3]]}, r"annotations\[1\]: the box is nan"),
    ],
)
def test_bad_entries_stop_it_with_their_place(told: dict[str, Any], words: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    tell(tmp_path / "boxes.json", ["a.png"], {"bbox": [0, 0, 2, 2]}, told)
    with pytest.raises(UserError, match=words):
        CocoBoxes().read(str(tmp_path))


def test_sizes_missing_images_and_paths_are_checked(tmp_path: Path) -> None:
    picture(tmp_path / "data/a.png")
    picture(tmp_path / "secret.png")
    file = tmp_path / "data/boxes.json"
    tell(file, ["a.png"], {"bbox": [0, 0, 2, 2]}, hw=(12, 16))
    with pytest.raises(UserError, match=r"boxes\.json, images\[0\]: 'a\.png' has 8 x 6 pixels .* not 16 x 12"):
        read_dataset(str(file))
    tell(file, ["a.png", "b.png"], {"bbox": [0, 0, 2, 2]})
    with pytest.raises(UserError, match=r"(?s)images\[1\]: image 'b\.png' is not in data/.*data\.missing=skip"):
        read_dataset(str(file))
    assert len(read_dataset(str(file), missing="skip").samples) == 1
    for path in ("../secret.png", str(tmp_path / "secret.png")):
        tell(file, [path], {"bbox": [0, 0, 2, 2]})
        with pytest.raises(UserError, match="no path inside the data's folder"):
            read_dataset(str(file))


def test_a_class_that_is_listed_twice_and_used_once_is_read(tmp_path: Path) -> None:
    """Roboflow writes the only class again as a group, without an annotation."""
    picture(tmp_path / "a.png")
    tell(tmp_path / "boxes.json", ["a.png"], {"bbox": [0, 0, 2, 2], "category_id": 1})
    content = json.loads((tmp_path / "boxes.json").read_text())
    content["categories"] = [{"id": 0, "name": "nut", "supercategory": "none"}, {"id": 1, "name": "nut"}]
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    dataset = read(tmp_path)
    assert dataset.classes == ("nut",)
    assert objects(dataset) == (Box(0, (0, 0, 2, 2)),)


@pytest.mark.skipif(DATA is None, reason="CONVOLVE_TEST_DATA is not set")
def test_nuts_are_as_pycocotools_has_them() -> None:
    from pycocotools.coco import COCO

    file = Path(str(DATA), "nuts-coco", "trainval.json")
    dataset = read_dataset(str(file), task="detect")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
    assert len(dataset.samples) == len(coco.imgs) == 18
    assert dataset.problems == ()
    for sample, image in zip(dataset.samples, coco.loadImgs(coco.getImgIds()), strict=True):
        assert Path(sample.name).name == image["file_name"]
        told = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        found = sample.target.objects
        assert [dataset.classes[box.index] for box in found] == [coco.cats[one["category_id"]]["name"] for one in told]
        widths = np.array([one["bbox"] for one in told], float)
        corners = np.hstack([widths[:, :2], widths[:, :2] + widths[:, 2:]]).clip(0, [800, 600, 800, 600])
        assert np.allclose([box.corners for box in found], corners)
    counts = Counter(dataset.classes[box.index] for sample in dataset.samples for box in sample.target.objects)
    assert counts == {"date": 71, "hazelnut": 53, "fig": 41}
