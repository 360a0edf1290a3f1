"""Annotated images on disk, tiny and easily learned: red discs and blue squares on green noise, as Pascal VOC."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("disc", "square")
HW = (96, 128)
SPLITS = {"train": range(14), "val": range(14, 18), "test": range(18, 24)}
SETTINGS = (
    "network=residual",
    "network.options.depth=8",
    "network.options.width=8",
    "network.weights=none",
    "detect.side=128",
    "compute.precision=float32",
    "compute.memory_format=contiguous",
    "compute.engine=torch",
    "budget=none",
    "batch_size=4",
)
SMALL_HEADS = ("detect.options.width=16", "detect.options.head_width=32")
FASTER = (*SETTINGS, "detect=faster", *SMALL_HEADS)


def drawn(number: int, *, hw: tuple[int, int] = HW) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, W, 3) uint8; boxes (2, 4) of whole pixels, continuous; labels (2,): one object in each half."""
    chance = np.random.default_rng([11, number])
    image = chance.integers(0, 80, (*hw, 3))
    image[:, :, 1] += 90
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    boxes = []
    for half in (0, 1):
        radius = int(chance.integers(10, 16))
        y = int(chance.integers(radius, hw[0] - radius))
        x = half * (hw[1] // 2) + int(chance.integers(radius, hw[1] // 2 - radius))
        # Of units from -r to r - 1, whose middle is half a pixel before x.
        down, right = rows + 0.5 - y, columns + 0.5 - x
        away = np.hypot(down, right) if half == 0 else np.maximum(abs(down), abs(right))
        inside = away < radius
        image[inside] = chance.integers(0, 80, (int(inside.sum()), 3))
        image[inside, 0 if half == 0 else 2] += 150
        boxes.append((x - radius, y - radius, x + radius, y + radius))
    return image.astype(np.uint8), np.array(boxes, np.float64), np.array([0, 1])


def voc_folder(
    root: Path, *, sizes: Iterable[tuple[int, int]] = (HW,), empty: Iterable[int] = (), grey: bool = False
) -> Path:
    """24 images in given splits; of the sizes in turn, those named `empty` without any object."""
    several, without = list(sizes), set(empty)
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for split, numbers in SPLITS.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{number:02}\n" for number in numbers))
        for number in numbers:
            pixels, boxes, labels = drawn(number, hw=several[number % len(several)])
            if number in without:
                pixels, boxes, labels = np.full_like(pixels, 90), boxes[:0], labels[:0]
            image = Image.fromarray(pixels)
            (image.convert("L") if grey else image).save(root / "JPEGImages" / f"{number:02}.png")
            annotation = voc_annotation(f"{number:02}.png", pixels.shape, boxes, labels)
            (root / "Annotations" / f"{number:02}.xml").write_text(annotation)
    return root


def voc_annotation(name: str, shape: tuple[int, ...], boxes: np.ndarray, labels: np.ndarray) -> str:
    """The XML of one image; VOC counts pixels from 1, and names the last one."""
    objects = "".join(
        f"<object><name>{CLASSES[label]}</name><difficult>0</difficult><bndbox><xmin>{left + 1:.0f}</xmin>"
        f"<ymin>{top + 1:.0f}</ymin><xmax>{right:.0f}</xmax><ymax>{bottom:.0f}</ymax></bndbox></object>"
        for label, (left, top, right, bottom) in zip(labels.tolist(), boxes.tolist(), strict=True)
    )
    size = f"<size><width>{shape[1]}</width><height>{shape[0]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}</filename>{size}{objects}</annotation>"
