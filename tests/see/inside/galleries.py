"""Images with one known object, and a network whose unit looks for it: for the tests that search in many images."""

import numpy as np
import torch
from torch import nn

from convolve.see.inside.gallery import Gallery
from convolve.see.inside.subject import Subject

SIDE = 24
# Of the 3 x 3 red square in each image: row and column of its middle. The last is at the upper edge.
MIDDLES = ((5, 5), (12, 18), (20, 9), (0, 22))
REDS = (200, 255, 120, 230)


def red_squares() -> Gallery:
    """Black images; in each one red square, cut off where it leaves the image, and a brighter green one."""
    images = np.zeros((len(MIDDLES), SIDE, SIDE, 3), np.uint8)
    for image, (row, column), red in zip(images, MIDDLES, REDS, strict=True):
        image[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2, 0] = red
        image[14:17, 2:5, 1] = 255
    names = [f"{number}.png" for number in range(len(images))]
    return Gallery(images, names, ["low", "high", "low", "high"], "red squares")


def red_detector() -> Subject:
    """Unit 0: how much red is in 3 x 3 pixels; unit 1: never above zero; unit 2: half of unit 0."""
    convolution = nn.Conv2d(3, 3, 3, padding=1)
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[0, 0] = 1.0
        convolution.weight[2, 0] = 0.5
        convolution.bias.copy_(torch.tensor([0.0, -1.0, 0.0]))
    body = nn.Sequential(convolution, nn.ReLU())
    network = nn.Sequential(body, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(3, 2)).eval()
    return Subject(
        network=network,
        body=body,
        normalise=lambda images: images,
        classes=("low", "high"),
        channels=3,
        image_hw=(SIDE, SIDE),
        fill=(0.0, 0.0, 0.0),
    )


def coloured(per_class: int = 20, *, side: int = 16, channels: int = 3) -> Gallery:
    """Two classes of noise, one dark and one bright: far apart by any measure."""
    generator = np.random.default_rng(3)
    dark = generator.integers(0, 60, (per_class, side, side, channels))
    bright = generator.integers(190, 255, (per_class, side, side, channels))
    images = np.stack([image for pair in zip(dark, bright, strict=True) for image in pair]).astype(np.uint8)
    names = [f"{number}.png" for number in range(len(images))]
    return Gallery(images, names, ["dark", "bright"] * per_class, f"coloured {per_class} {side} {channels}")
