import csv
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Boxes
from convolve.data.reading import read_dataset
from convolve.deploy.detection.outputs import Predicted, write_boxes
from convolve.errors import UserError

CLASSES = ("red & <round>", "blue cell")
HW = {"a.png": (40, 60), "b/c.png": (31, 17), "c.jpg": (20, 20)}


def found(*rows: tuple[float, ...]) -> Detections:
    table = np.array(rows, float).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4].astype(np.int64), table[:, 5])


IMAGES = [
    Predicted("a.png", HW["a.png"], 3, found((0, 0, 60, 40, 1, 0.93), (10.25, 3.5, 17.75, 20.125, 0, 0.51))),
    Predicted("b/c.png", HW["b/c.png"], 1, found((2.4, 1.6, 16.9, 30.2, 0, 0.7))),
    Predicted("c.jpg", HW["c.jpg"], 3, found()),
]


def test_coco_is_read_by_its_own_library(tmp_path, capsys):
    (path,) = write_boxes("coco", tmp_path / "new" / "found.json", IMAGES, CLASSES)
    coco = COCO(str(path))
    capsys.readouterr()
    assert [coco.cats[number]["name"] for number in coco.getCatIds()] == list(CLASSES)
    assert {image["file_name"]: (image["height"], image["width"]) for image in coco.imgs.values()} == HW
    boxes = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert [one["bbox"] for one in boxes] == [[0, 0, 60, 40], [10.25, 3.5, 7.5, 16.62]]
    assert [one["score"] for one in boxes] == [0.93, 0.51]
    assert [one["category_id"] for one in boxes] == [2, 1]
    assert coco.getAnnIds(imgIds=[3]) == []
    assert len(coco.loadRes(json.loads(path.read_text())["annotations"]).anns) == 3


def test_yolo_lines(tmp_path):
    written = write_boxes("yolo", tmp_path, IMAGES, CLASSES)
    assert [path.name for path in written] == ["classes.txt", "a.txt", "c.txt", "c-2.txt"]
    assert (tmp_path / "classes.txt").read_text() == "red & <round>\nblue cell\n"
    assert (tmp_path / "a.txt").read_text().splitlines()[0] == "1 0.500000 0.500000 1.000000 1.000000"
    assert (tmp_path / "c-2.txt").read_text() == ""
    write_boxes("yolo", tmp_path, IMAGES, CLASSES, yolo_probabilities=True)
    assert (tmp_path / "a.txt").read_text().splitlines()[0] == "1 0.500000 0.500000 1.000000 1.000000 0.930000"


def test_an_image_called_classes_does_not_hide_the_classes(tmp_path):
    write_boxes("yolo", tmp_path, [Predicted("Classes.png", (5, 5), 3, found())], ("one\nmore",))
    assert (tmp_path / "classes.txt").read_text() == "one more\n"
    assert (tmp_path / "Classes-2.txt").exists()


def test_voc_counts_pixels_from_1_and_inclusive(tmp_path):
    path = write_boxes("voc", tmp_path, IMAGES, CLASSES)[0]
    root = ElementTree.parse(path).getroot()  # noqa: S314 our own file
    assert root.findtext("filename") == "a.png"
    assert [int(root.findtext(f"size/{name}")) for name in ("width", "height", "depth")] == [60, 40, 3]
    corners = [[int(value.text) for value in box] for box in root.iter("bndbox")]
    assert corners == [[1, 1, 60, 40], [11, 5, 18, 20]]
    assert [thing.findtext("name") for thing in root.iter("object")] == ["blue cell", "red & <round>"]


def test_names_that_xml_cannot_hold_and_boxes_of_less_than_a_pixel(tmp_path):
    thin = Predicted("x.png", (10, 10), 3, found((9.8, 9.9, 10, 10, 0, 0.5), (3.1, 3.1, 3.2, 3.2, 0, 0.5)))
    (path,) = write_boxes("voc", tmp_path, [thin], ("a\x00b\x1b\ud800",))
    root = ElementTree.parse(path).getroot()  # noqa: S314 our own file
    assert root.findtext("object/name") == "a\ufffdb\ufffd\ufffd"
    assert [[int(value.text) for value in box] for box in root.iter("bndbox")] == [[10, 10, 10, 10], [4, 4, 4, 4]]


def test_csv_rows(tmp_path):
    (path,) = write_boxes("csv", tmp_path / "boxes.csv", IMAGES, CLASSES)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["filename"] for row in rows] == ["a.png", "a.png", "b/c.png", "c.jpg"]
    assert rows[1] == dict(
        filename="a.png", width="60", height="40", xmin="10.25", ymin="3.5", xmax="17.75", ymax="20.12",
        probability="0.51", **{"class": "red & <round>"},
    )  # fmt: skip
    assert rows[3]["class"] == rows[3]["xmin"] == ""


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        write_boxes("csv", tmp_path / "file" / "boxes.csv", IMAGES, CLASSES)


@pytest.mark.parametrize(
    ("form", "out", "images", "slack"),
    [
        ("coco", "found.json", ".", 0.011),
        ("yolo", "labels", "images", 1e-4),
        ("voc", "Annotations", "JPEGImages", 0.501),
        ("csv", "found.csv", ".", 0.0051),
    ],
)
def test_what_is_written_is_read_back(form, out, images, slack, tmp_path):
    pixels = np.random.default_rng(0)
    predicted = []
    for name, rows in {
        "a.png": [(0, 0, 60, 40, 1, 0.93), (10.25, 3.5, 17.75, 20.125, 0, 0.51)],
        "b.png": [(2.4, 1.6, 16.9, 30.2, 0, 0.7)],
        "c.png": [],
    }.items():
        (tmp_path / images).mkdir(exist_ok=True)
        Image.fromarray(pixels.integers(0, 256, (40, 60, 3), np.uint8)).save(tmp_path / images / name)
        predicted.append(Predicted(name, (40, 60), 3, found(*rows)))
    write_boxes(form, tmp_path / out, predicted, CLASSES)
    dataset = read_dataset(tmp_path, task="detect")
    assert set(dataset.classes) == set(CLASSES)
    for image in predicted:
        (target,) = (sample.target for sample in dataset.samples if str(sample.image).endswith(image.name))
        assert isinstance(target, Boxes)
        assert target.hw == image.hw
        names = [dataset.classes[one.index] for one in target.objects]
        assert names == [CLASSES[label] for label in image.detections.labels]
        read = np.array([one.corners for one in target.objects]).reshape(-1, 4)
        np.testing.assert_allclose(read, image.detections.corners, atol=slack)
