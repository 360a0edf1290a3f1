"""A small network that has learned that the colour of one square decides, in a second or two."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convolve.randomness import torch_randomness
from convolve.see.inside.subject import Question, Subject
from see.inside.subjects import small_body, small_subject


def squares_on_noise(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """(N, 3, 24, 24) noise with a 7 x 7 square, red (class 0) or green (class 1), or none (class 2); (N,) classes.

    With the third class, red and green both need something that speaks for them.
    """
    generator = np.random.default_rng(seed)
    images = torch.from_numpy(generator.uniform(0.2, 0.6, (count, 3, 24, 24))).float()
    classes, places = generator.integers(0, 3, count), generator.integers(0, 18, (count, 2))
    for image, kind, (top, left) in zip(images, classes, places, strict=True):
        if kind < 2:
            image[:, top : top + 7, left : left + 7] = 0.15
            image[kind, top : top + 7, left : left + 7] = 0.9
    return images, torch.from_numpy(classes)


@cache
def trained_subject() -> Subject:
    """Tells red squares, green ones and none apart."""
    images, classes = squares_on_noise(256, seed=0)
    with torch_randomness("trained subject", 1):
        body = small_body()
        network = nn.Sequential(body, nn.Linear(8, 3))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for step in range(60):
        rows = slice(64 * (step % 4), 64 * (step % 4) + 64)
        loss = F.cross_entropy(network((images[rows] - 0.5) / 0.25), classes[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    return replace(small_subject(), network=network, body=body, classes=("red", "green", "nothing"), fill=(0.4,) * 3)


def asked(count: int) -> list[Question]:
    """New images with a square, each with its own class wanted."""
    images, classes = squares_on_noise(3 * count + 10, seed=1)
    found = [
        Question(image=image, name=f"square {number}", wanted=int(kind), truth=int(kind))
        for number, (image, kind) in enumerate(zip(images, classes, strict=True))
        if kind < 2
    ]
    return found[:count]
