"""Blood cells (BCCD) straight from their XML files, by nothing of ours."""

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from convolve.data.dataset import Box, Boxes, Dataset, Sample, Split

needs_blood = pytest.mark.skipif(
    "CONVOLVE_TEST_DATA" not in os.environ, reason="CONVOLVE_TEST_DATA names no folder of data sets"
)
CLASSES = ("Platelets", "RBC", "WBC")
_LISTS: dict[str, Split] = {"train": "train", "val": "validation", "test": "test"}


def blood(at_most: int = 1000) -> Dataset:
    """The first images of each list, without boxes of no area."""
    root = Path(os.environ["CONVOLVE_TEST_DATA"]) / "bccd"
    samples = [
        Sample(f"{name}.jpg", root / "JPEGImages" / f"{name}.jpg", _boxes(root / "Annotations" / f"{name}.xml"), split)
        for listed, split in _LISTS.items()
        for name in (root / "ImageSets" / "Main" / f"{listed}.txt").read_text().split()[:at_most]
    ]
    return Dataset("bccd", "by hand", CLASSES, tuple(samples))


def _boxes(file: Path) -> Boxes:
    annotation = ElementTree.parse(file)  # noqa: S314 our own copy
    objects = []
    for one in annotation.iterfind("object"):
        left, top, right, bottom = (
            float(one.findtext(f"bndbox/{key}") or 0) for key in ("xmin", "ymin", "xmax", "ymax")
        )
        if right > left and bottom > top:
            corners = max(0, left - 1), max(0, top - 1), min(640, right), min(480, bottom)
            objects.append(Box(CLASSES.index(one.findtext("name") or ""), corners))
    return Boxes((480, 640), tuple(objects))
