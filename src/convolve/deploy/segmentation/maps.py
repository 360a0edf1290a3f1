"""What a prediction says of every pixel: of some rows of an image, and of all of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Strip:
    """What is known of some rows of an image.

    Attributes:
        top: the first of the rows.
        labels: (rows, W) uint8, the most probable class, or `IGNORE` where there is no data.
        probabilities: (K, rows, W) float32, NaN where there is no data.
        entropy: (rows, W) float32, predictive entropy, nats, 0 .. ln K; NaN likewise.
        mutual_information: (rows, W) float32, nats, likewise; None with one member.
        deviation: (rows, W) float32, standard deviation of the probabilities over the members, likewise.
        valid: (rows, W) bool, where there is data.
    """

    top: int
    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    entropy: NDArray[np.float32]
    mutual_information: NDArray[np.float32] | None
    deviation: NDArray[np.float32] | None
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What a model says of every pixel of an image.

    Attributes:
        labels: (H, W) uint8, the most probable class, or `IGNORE` where there is no data.
        probabilities: (K, H, W) float32; NaN where there is no data, as in all maps that follow.
        entropy: (H, W) float32, predictive entropy, nats, 0 .. ln K.
        mutual_information: (H, W) float32, nats, 0 .. ln K; None without passes or views.
        deviation: (H, W) float32, standard deviation of the probabilities over passes and views, mean over the classes;
            None likewise.
        valid: (H, W) bool, where there is data.
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    entropy: NDArray[np.float32]
    mutual_information: NDArray[np.float32] | None
    deviation: NDArray[np.float32] | None
    valid: NDArray[np.bool_]


def assemble(strips: Sequence[Strip]) -> Segmentation:
    """All strips of an image, from the top down, as one."""
    information = [strip.mutual_information for strip in strips if strip.mutual_information is not None]
    deviation = [strip.deviation for strip in strips if strip.deviation is not None]
    return Segmentation(
        labels=np.concatenate([strip.labels for strip in strips]),
        probabilities=np.concatenate([strip.probabilities for strip in strips], axis=1),
        entropy=np.concatenate([strip.entropy for strip in strips]),
        mutual_information=np.concatenate(information) if information else None,
        deviation=np.concatenate(deviation) if deviation else None,
        valid=np.concatenate([strip.valid for strip in strips]),
    )
