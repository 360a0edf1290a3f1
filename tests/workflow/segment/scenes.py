"""Data sets of masks on disk, tiny and easily learned: red discs and blue squares on green noise."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ground", "disc", "square")
VOID = 255
HW = (64, 80)
SPLITS = {"train": range(8), "val": range(8, 11), "test": range(11, 15)}

# What a training is asked to be where nothing else is said: quick, and measured in no two ways.
COMPUTE = ("compute.precision=float32", "compute.memory_format=contiguous")
COMMON = (f"masks.classes=[{', '.join(repr(name) for name in CLASSES)}]", *COMPUTE, "budget=none")
SMALL = ("network=residual", "network.options.depth=8", "network.options.width=4", "network.weights=none")
UNET = (*COMMON, "segment=unet", *SMALL, "epochs=2", "batch_size=4")
PATCH = (*COMMON, "segment=patch", "segment.crop=33", "segment.crops=64", "epochs=1", "batch_size=64")


def drawn(number: int, *, hw: tuple[int, int] = HW) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 and its mask (H, W): classes 0 to 2, and a line of `VOID` around every shape."""
    chance = np.random.default_rng([7, number])
    image = chance.integers(0, 80, (*hw, 3))
    image[:, :, 1] += 90
    mask = np.zeros(hw, np.uint8)
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    for shape in (1, 2, 1, 2):
        y, x = chance.integers(10, hw[0] - 10), chance.integers(10, hw[1] - 10)
        radius = chance.integers(6, 11)
        away = np.maximum(abs(rows - y), abs(columns - x)) if shape == 2 else np.hypot(rows - y, columns - x)
        mask[away < radius + 1] = VOID
        inside = away < radius
        mask[inside] = shape
        image[inside] = chance.integers(0, 80, (int(inside.sum()), 3))
        image[inside, 0 if shape == 1 else 2] += 150
    return image.astype(np.uint8), mask


def write_pair(place: Path, number: int) -> None:
    """images/NN.png and masks/NN.png in a folder."""
    for name, pixels in zip(("images", "masks"), drawn(number), strict=True):
        (place / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / name / f"{number:02}.png")


def split_folders(root: Path) -> Path:
    """SPLIT/images and SPLIT/masks: 8 images that train, 3 that choose, 4 that test."""
    for split, numbers in SPLITS.items():
        for number in numbers:
            write_pair(root / split, number)
    return root


def tile_folders(root: Path, tiles: Iterable[str] = ("north", "east", "south", "west"), *, each: int = 3) -> Path:
    """TILE/images and TILE/masks, images of a tile being a group."""
    for place, tile in enumerate(tiles):
        for number in range(each * place, each * place + each):
            write_pair(root / tile, number)
    return root


def mask_file(root: Path, name: str) -> np.ndarray:
    """The mask of an image by the name that results give it, SPLIT/images/NN or so."""
    image = Path(name)
    path = root / image.parent.parent / "masks" / image.name if image.parent.name == "images" else None
    assert path is not None
    return np.array(Image.open(path.with_suffix(".png")))
