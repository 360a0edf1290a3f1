"""`convolve predict` with a model that finds objects: its boxes, drawn, and as files of annotation tools."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import ImageArray
from convolve.data.decoding import BrokenImage, decode
from convolve.deploy.detection.model import DetectionModel
from convolve.deploy.detection.outputs import Form, Predicted, write_boxes
from convolve.deploy.detection.pictures import draw_boxes, drawn_detections
from convolve.deploy.detection.summary import detection_summary
from convolve.deploy.segmentation.pictures import distinct_stems
from convolve.errors import unknown_name
from convolve.progress import Progress
from convolve.run.files import atomic_path, make_folder

FORMS: tuple[Form, ...] = get_args(Form)
# One file for all images, or a folder with one for each.
_PLACES: dict[Form, str] = {"coco": "coco.json", "yolo": "yolo", "voc": "voc", "csv": "boxes.csv"}


@dataclass(frozen=True, kw_only=True)
class WantedBoxes:
    """What is predicted.

    Attributes:
        out: folder of the files; made on demand.
        threshold: less probable boxes are left out.
        forms: annotation formats to write.
        pictures: whether the boxes are drawn.
    """

    out: Path
    threshold: float
    forms: Sequence[Form] = ()
    pictures: bool = True


def checked_forms(names: Sequence[str]) -> tuple[Form, ...]:
    """Names of annotation formats.

    Raises:
        UserError: one is unknown.
    """
    for name in names:
        if name not in FORMS:
            raise unknown_name("annotation format", name, FORMS)
    return tuple(form for form in FORMS if form in names)


def predict_boxes(
    model: DetectionModel, images: Sequence[Path], wanted: WantedBoxes, progress: Progress
) -> Iterator[dict[str, Any]]:
    """For each image, in order, its boxes and files, or {"image", "error"}; the annotations are written at the end.

    Raises:
        UserError: no space is left, or the folder is not the user's to write in.
    """
    written: list[Predicted] = []
    names = Counter(image.name for image in images)
    for number, (image, stem) in enumerate(zip(images, distinct_stems(images), strict=True)):
        try:
            pixels = decode(image, channels=3)
            detections = model.detect(image, threshold=wanted.threshold)
        except BrokenImage as error:
            yield {"image": str(image), "error": str(error)}
            continue
        files = {}
        if wanted.pictures:
            files["picture"] = wanted.out / "pictures" / f"{stem}.jpg"
            _draw(files["picture"], pixels, detections, model.classes)
        # Of files of one name in several folders each needs its own.
        name = image.name if names[image.name] == 1 else image.as_posix()
        written.append(Predicted(name, (pixels.shape[0], pixels.shape[1]), pixels.shape[2], detections))
        progress("predicting", number + 1, len(images))
        yield detection_summary(str(image), detections, model.classes, files)
    for form in wanted.forms:
        write_boxes(form, wanted.out / _PLACES[form], written, model.classes)


def _draw(path: Path, pixels: ImageArray, detections: Detections, classes: Sequence[str]) -> None:
    make_folder(path.parent)
    drawn = draw_boxes(pixels, drawn_detections(detections, classes))
    with atomic_path(path) as aside:
        Image.fromarray(np.ascontiguousarray(drawn)).save(aside, format="JPEG", quality=92)
