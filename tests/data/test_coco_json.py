import json
from pathlib import Path
from typing import Any

import pytest

from convolve.data.coco_json import RunLengths, has_outlines, read_coco
from convolve.errors import UserError

TRIANGLE = [[0.0, 0.0, 4.0, 0.0, 0.0, 4]]


def content() -> dict[str, Any]:
    return {
        "info": {"year": 2017},
        "images": [
            {"id": 5, "file_name": "a.png", "height": 6, "width": 8, "licence": 1},
            {"id": 2, "file_name": "deep\\er//b.png", "height": 6, "width": 8},
        ],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 9, "segmentation": TRIANGLE, "iscrowd": 0, "bbox": [0, 0, 4, 4]},
            {
                "id": 2,
                "image_id": 2,
                "category_id": 3,
                "segmentation": {"counts": [40, 8], "size": [6, 8]},
                "iscrowd": 1,
            },
            {"id": 3, "image_id": 2, "category_id": 3, "segmentation": {"counts": "P18", "size": [6, 8]}},
            {"id": 4, "image_id": 2, "category_id": 3},
        ],
        "categories": [{"id": 9, "name": "nut", "supercategory": ""}, {"id": 3, "name": "fig"}],
    }


def write(folder: Path, told: object) -> Path:
    path = folder / "told.json"
    path.write_text(told if isinstance(told, str) else json.dumps(told), encoding="utf-8")
    return path


def test_what_a_file_tells(tmp_path: Path) -> None:
    file = read_coco(write(tmp_path, content()))
    assert [(image.id, image.file_name) for image in file.images] == [(5, "a.png"), (2, "deep/er/b.png")]
    assert [(image.height, image.width) for image in file.images] == [(6, 8), (6, 8)]
    assert [(category.id, category.name) for category in file.categories] == [(3, "fig"), (9, "nut")]
    assert [annotation.image_id for annotation in file.annotations] == [5, 2, 2, 2]
    assert [annotation.segmentation for annotation in file.annotations] == [
        ((0.0, 0.0, 4.0, 0.0, 0.0, 4.0),),
        RunLengths((40, 8), (6, 8)),
        RunLengths("P18", (6, 8)),
        None,
    ]
    assert [bool(annotation.iscrowd) for annotation in file.annotations] == [False, True, False, False]
    assert file.problems == ()


def test_a_mark_of_byte_order_is_passed_over(tmp_path: Path) -> None:
    assert len(read_coco(write(tmp_path, "\ufeff" + json.dumps(content()))).images) == 2


def test_annotations_of_no_image_and_ids_again_are_counted(tmp_path: Path) -> None:
    told = content()
    told["annotations"] += [{"id": 4, "image_id": 77, "category_id": 3}, {"id": 4, "image_id": 5, "category_id": 3}]
    strays, repeated = read_coco(write(tmp_path, told)).problems
    assert (strays.where, strays.what) == ("told.json, annotations[4]", "no image has the 'image_id': not used")
    assert repeated.what.startswith("2 have the 'id' of another")


ABSENT = object()


@pytest.mark.parametrize(
    ("part", "position", "key", "value", "words"),
    [
        ("images", 1, "id", 5, r"images\[1\]: 'id' is 5, like that of images\[0\]"),
        ("images", 1, "id", "2", r"images\[1\]: 'id': input should be a valid integer"),
        ("images", 1, "id", True, r"images\[1\]: 'id': input should be a valid integer"),
        ("images", 1, "id", ABSENT, r"images\[1\]: 'id': field required"),
        ("images", 0, "height", -6, r"images\[0\]: 'height': input should be greater than or equal to 1"),
        ("images", 0, "width", 10**30, r"images\[0\]: 'width': input should be less than"),
        ("images", 0, "width", 100_000_000, r"images\[0\]: 100000000 x 6 pixels are more than 200 megapixels"),
        ("images", 0, "width", None, r"images\[0\]: 'width': input should be a valid integer"),
        ("images", 1, "file_name", "./a.png", r"images\[1\]: 'file_name' is 'a.png', like that of images\[0\]"),
        ("images", 1, "file_name", "", r"images\[1\]: 'file_name'"),
        ("images", 1, "file_name", ".", "no path inside the data's folder"),
        ("images", 1, "file_name", "../secret.png", "no path inside the data's folder"),
        ("images", 1, "file_name", "in/../../secret.png", "no path inside the data's folder"),
        ("images", 1, "file_name", "..\\secret.png", "no path inside the data's folder"),
        ("images", 1, "file_name", "/etc/passwd", "no path inside the data's folder"),
        ("images", 1, "file_name", "//host/share/a.png", "no path inside the data's folder"),
        ("images", 1, "file_name", "C:\\me\\a.png", "no path inside the data's folder"),
        ("images", 1, "file_name", ["a.png"], r"images\[1\]: 'file_name': input should be a valid string"),
        ("annotations", 3, "category_id", 4, r"annotations\[3\]: no category has the id 4\n  .* 3, 9"),
        ("annotations", 3, "image_id", 1.5, r"annotations\[3\]: 'image_id': input should be a valid integer"),
        ("annotations", 3, "iscrowd", 2, r"annotations\[3\]: 'iscrowd'"),
        ("annotations", 0, "segmentation", [["0", 1, 2, 3, 4, 5]], r"annotations\[0\]: 'segmentation' is neither"),
        ("annotations", 0, "segmentation", [0, 1, 2, 3, 4, 5], r"annotations\[0\]: 'segmentation' is neither"),
        ("annotations", 0, "segmentation", {"counts": [1.5], "size": [6, 8]}, "'segmentation' is neither"),
        ("annotations", 0, "segmentation", {"counts": [48]}, "'segmentation' is neither"),
        ("annotations", 0, "segmentation", "P18", "'segmentation' is neither"),
        ("categories", 1, "id", 9, r"categories\[1\]: 'id' is 9, like that of categories\[0\]"),
        ("categories", 1, "name", "nut", r"categories\[1\]: 'name' is 'nut', like that of categories\[0\]"),
        ("categories", 1, "name", 3, r"categories\[1\]: 'name': input should be a valid string"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, part: str, position: int, key: str, value: object, words: str) -> None:
    told = content()
    if value is ABSENT:
        del told[part][position][key]
    else:
        told[part][position][key] = value
    with pytest.raises(UserError, match=f"^told.json, .*{words}") as caught:
        read_coco(write(tmp_path, told))
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"told.json, line 1, column 0: not JSON: EOF"),
        ('{"images": [],\n  "annotations": [}', r"told.json, line 2, column 19: not JSON: expected value"),
        ('{"images": ' + "[" * 100_000, r"told.json, line 1, column \d+: not JSON: recursion limit"),
        ('{"images": [], "x": "\\ud800"}', r"told.json, line 1, column \d+: not JSON"),
        ("[]", r"told.json: input should be an object"),
        ("null", r"told.json: input should be an object"),
        ('{"annotations": [], "categories": []}', r"told.json: 'images': field required"),
        ('{"images": {}, "annotations": [], "categories": []}', r"told.json: 'images': input should be a valid array"),
        (
            '{"images": [], "annotations": [3], "categories": []}',
            r"told.json, annotations\[0\]: input should be an object",
        ),
        ('{"images": [], "annotations": [], "categories": []}', r"told.json: 'categories' is empty"),
    ],
)
def test_a_file_that_is_no_coco_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=f"^{words}"):
        read_coco(write(tmp_path, text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "told.json").write_bytes(b'{"images": "\xff\xfe"}')
    with pytest.raises(UserError, match=r"^told.json, line 1, column \d+: not JSON"):
        read_coco(tmp_path / "told.json")


def test_a_file_beyond_all_bounds_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "told.json").open("wb") as file:
        file.truncate(3 << 30)  # a hole, which takes no room
    with pytest.raises(UserError, match=r"3\.0 GiB of JSON; at most 1 GiB"):
        read_coco(tmp_path / "told.json")


def test_outlines_are_seen_without_parsing(tmp_path: Path) -> None:
    told = content()
    assert has_outlines(write(tmp_path, told))
    assert has_outlines(write(tmp_path, json.dumps(told, indent=2)))
    for annotation in told["annotations"]:
        annotation["segmentation"] = []
    assert not has_outlines(write(tmp_path, told))
    told["annotations"][1]["segmentation"] = {"size": [6, 8], "counts": [48]}
    assert has_outlines(write(tmp_path, told))
    del told["categories"]
    assert not has_outlines(write(tmp_path, told))
    assert not has_outlines(write(tmp_path, ""))
    assert not has_outlines(tmp_path)
    assert not has_outlines(tmp_path / "absent.json")
