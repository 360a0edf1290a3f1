"""Images that one thing decides: a red or a blue square somewhere on grey noise."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE, SQUARE = 32, 10
COLOURS = {"red": 0, "blue": 2}
CLASSIFIER = (
    "network=lenet5",
    "image_size=32",
    "augment=none",
    "folds=0",
    "budget=none",
    "compute.precision=float32",
    "compute.memory_format=contiguous",
    "compute.engine=torch",
)


def drawn(colour: str, number: int) -> tuple[np.ndarray, tuple[int, int]]:
    """(SIDE, SIDE, 3) uint8, and the row and column of the square's first pixel."""
    chance = np.random.default_rng([5, COLOURS[colour], number])
    image = chance.integers(90, 130, (SIDE, SIDE, 3))
    top, left = chance.integers(0, SIDE - SQUARE, 2)
    image[top : top + SQUARE, left : left + SQUARE] = 20
    image[top : top + SQUARE, left : left + SQUARE, COLOURS[colour]] = 240
    return image.astype(np.uint8), (int(top), int(left))


def square_folders(root: Path, *, each: int) -> Path:
    """COLOUR/NN.png."""
    for colour in COLOURS:
        (root / colour).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(drawn(colour, number)[0]).save(root / colour / f"{number:02}.png")
    return root
