"""Data sets on disk, tiny and easily told apart: each class has a colour of its own."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

# What a training is asked to be where nothing else is said: quick, and measured in no two ways.
QUICK = (
    "network=mlp",
    "network.options.hidden=[16]",
    "image_size=16",
    "epochs=1",
    "compute.precision=float32",
    "compute.memory_format=contiguous",
)


def picture(path: Path, colour: int, number: int, *, hw: tuple[int, int] = (16, 16), mode: str = "RGB") -> Path:
    """An image with a bright channel `colour` (0 to 2) on noise that only this `number` has."""
    pixels = np.random.default_rng([colour, number]).integers(0, 90, (*hw, 3))
    pixels[:, :, colour] += 150
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(path)
    return path


def class_folders(root: Path, counts: Mapping[str, int], *, hw: tuple[int, int] = (16, 16), first: int = 0) -> Path:
    """CLASS/NN.png for each class; `first` keeps the images of two folders different."""
    for colour, (name, count) in enumerate(counts.items()):
        for number in range(first, first + count):
            picture(root / name / f"{number:02}.png", colour, number, hw=hw)
    return root


def table(folder: Path, header: str, rows: list[str]) -> Path:
    """`labels.csv` in a folder."""
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a table, by its header."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
