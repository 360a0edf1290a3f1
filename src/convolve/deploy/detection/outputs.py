"""Boxes as the files that annotation tools read, so that a person can correct them and train again.

    COCO         one JSON of images, categories and annotations, each with a "score"
    YOLO         a folder: classes.txt, and for each image NAME.txt: class, centre and size as shares of the image's
    Pascal VOC   a folder: for each image NAME.xml, corners in whole pixels, counted from 1 and inclusive
    CSV          one table: filename, width, height, class, xmin, ymin, xmax, ymax, probability

Coordinates are continuous pixels from the top left corner but in VOC. Every file is whole or absent; an image without
boxes is said to have none, which is an annotation as well. Read back, boxes differ by rounding: 0.005 pixels, in YOLO's
shares a millionth of the image's side, in VOC half a pixel.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from xml.etree import ElementTree

from convolve.data.boxes.detections import Detections
from convolve.deploy.segmentation.pictures import distinct_stems
from convolve.run.files import make_folder, write_atomically

Form: TypeAlias = Literal["coco", "yolo", "voc", "csv"]

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""

_DIGITS, _SHARE_DIGITS = 2, 6


@dataclass(frozen=True, slots=True)
class Predicted:
    """The boxes of one image.

    Attributes:
        name: the image's file name, or its path within the folder of images.
        hw: height and width of the upright image, pixels.
        channels: of the image's file, 1 or 3.
        detections: those that are written.
    """

    name: str
    hw: tuple[int, int]
    channels: int
    detections: Detections


def write_boxes(
    form: Form, out: Path, images: Sequence[Predicted], classes: Sequence[str], *, yolo_probabilities: bool = False
) -> list[Path]:
    """Write the boxes of images for an annotation tool; files of the same names are replaced.

    Args:
        form: see above.
        out: the file, or in the forms of a file an image the folder; folders are made.
        images: in the order of the files' lines. Of names that differ only in folder or ending the later ones get a
            number in YOLO and VOC, see `distinct_stems`.
        classes: K names.
        yolo_probabilities: whether they end YOLO's lines, as some programs write them; few tools read such lines.

    Returns:
        The files.

    Raises:
        UserError: no space is left, or the folder is not the user's to write in.
    """
    if form == "yolo":
        contents: Mapping[Path, str | bytes] = _yolo(out, images, classes, yolo_probabilities)
    else:
        contents = _FORMS[form](out, images, classes)
    for path, content in contents.items():
        make_folder(path.parent)
        write_atomically(path, content)
    return list(contents)


def _coco(out: Path, images: Sequence[Predicted], classes: Sequence[str]) -> dict[Path, str]:
    annotations: list[dict[str, object]] = []
    for number, image in enumerate(images, start=1):
        for left, top, right, bottom, label, probability in _rows(image):
            x, y, width, height = (round(value, _DIGITS) for value in (left, top, right - left, bottom - top))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": [x, y, width, height],
                    "area": round(width * height, _DIGITS),
                    "iscrowd": 0,
                    "score": round(probability, _SHARE_DIGITS),
                }
            )
    told = {
        "images": [
            {"id": number, "file_name": image.name, "width": image.hw[1], "height": image.hw[0]}
            for number, image in enumerate(images, start=1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)],
        "annotations": annotations,
    }
    return {out: json.dumps(told, ensure_ascii=False) + "\n"}


def _yolo(out: Path, images: Sequence[Predicted], classes: Sequence[str], probabilities: bool) -> dict[Path, str]:
    # A name of several lines would shift the numbers of those below it.
    contents = {out / "classes.txt": "".join(f"{' '.join(name.split())}\n" for name in classes)}
    # The list of classes must not be taken for an image's boxes, nor the reverse.
    stems = distinct_stems(["classes", *(image.name for image in images)])[1:]
    for stem, image in zip(stems, images, strict=True):
        height, width = image.hw
        lines = []
        for left, top, right, bottom, label, probability in _rows(image):
            shares = (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width
            values = *shares, (bottom - top) / height, *([probability] if probabilities else [])
            lines.append(" ".join((str(label), *(f"{value:.{_SHARE_DIGITS}f}" for value in values))) + "\n")
        contents[out / f"{stem}.txt"] = "".join(lines)
    return contents


def _voc(out: Path, images: Sequence[Predicted], classes: Sequence[str]) -> dict[Path, bytes]:
    stems = distinct_stems([image.name for image in images])
    return {out / f"{stem}.xml": _voc_xml(image, classes) for stem, image in zip(stems, images, strict=True)}


def _voc_xml(image: Predicted, classes: Sequence[str]) -> bytes:
    height, width = image.hw
    root = _element("annotation", filename=Path(image.name).name)
    root.append(_element("size", width=width, height=height, depth=image.channels))
    for left, top, right, bottom, label, _ in _rows(image):
        thing = _element("object", name=classes[label], pose="Unspecified", truncated=0, difficult=0)
        xmin, xmax = _whole(left, right, width)
        ymin, ymax = _whole(top, bottom, height)
        thing.append(_element("bndbox", xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax))
        root.append(thing)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8")
    return written + b"\n"


def _csv(out: Path, images: Sequence[Predicted], classes: Sequence[str]) -> dict[Path, str]:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "probability"))
    for image in images:
        facts = (image.name, image.hw[1], image.hw[0])
        rows = list(_rows(image))
        for *corners, label, probability in rows:
            writer.writerow(
                (*facts, classes[int(label)], *(round(value, _DIGITS) for value in corners), round(probability, 6))
            )
        if not rows:
            writer.writerow((*facts, *[""] * 6))
    return {out: table.getvalue()}


_FORMS: Mapping[str, Callable[[Path, Sequence[Predicted], Sequence[str]], Mapping[Path, str | bytes]]] = {
    "coco": _coco,
    "voc": _voc,
    "csv": _csv,
}


def _rows(image: Predicted) -> list[tuple[float, float, float, float, int, float]]:
    """Left, top, right, bottom, class and probability of each box."""
    found = image.detections
    labels, probabilities = found.labels.tolist(), found.probabilities.tolist()
    return [
        (*corners, label, probability)
        for corners, label, probability in zip(found.corners.tolist(), labels, probabilities, strict=True)
    ]


def _whole(low: float, high: float, length: int) -> tuple[int, int]:
    """First and last pixel, counted from 1, of a box between two continuous coordinates; at least one pixel."""
    first = min(round(low), length - 1)
    return first + 1, max(round(high), first + 1)


def _element(tag: str, **children: object) -> ElementTree.Element:
    element = ElementTree.Element(tag)
    for name, value in children.items():
        child = ElementTree.SubElement(element, name)
        child.text = _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))
    return element
