"""The images nearest to one image, by what the network sees in them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.errors import UserError
from convolve.progress import Progress, silent
from convolve.see.inside.features import directions, features_of, gallery_features, standardised
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.subject import Subject

_PROBED = 300


@dataclass(frozen=True)
class Neighbour:
    """An image of the gallery.

    Attributes:
        row: of the gallery.
        distance: cosine distance of the standardised features, 0 (same direction) to 2.
        same: whether it is the very image that was asked about, pixel by pixel.
    """

    row: int
    distance: float
    same: bool


@dataclass(frozen=True)
class Neighbours:
    """The nearest images, nearest first.

    Attributes:
        nearest: at most as many as were asked for.
        usual: cosine distances from images of the gallery to their own nearest other image, sorted.
    """

    nearest: tuple[Neighbour, ...]
    usual: NDArray[np.float64]

    @property
    def unlike(self) -> float:
        """Share of the gallery's images that are nearer to their own nearest one, in [0, 1]; near 1 = unlike them."""
        others = [neighbour.distance for neighbour in self.nearest if not neighbour.same]
        return float(np.mean(self.usual < others[0])) if others and len(self.usual) else 0.0


def nearest_images(
    subject: Subject, image: Tensor, gallery: Gallery, *, most: int = 8, progress: Progress = silent
) -> Neighbours:
    """The images of a gallery nearest to an image in the network's feature space.

    Features are standardised over the gallery, so that each counts the same, and compared by their direction.

    Args:
        subject: its network in test mode.
        image: (C, H, W) in [0, 1].
        gallery: images of the subject's size.
        most: how many.
        progress: told while features are computed.

    Raises:
        UserError: features are no numbers, or the network has none; or the image has another size.
    """
    if tuple(image.shape[1:]) != gallery.images.shape[1:3]:
        height, width = gallery.images.shape[1:3]
        raise UserError(
            f"nearest images: this image is {image.shape[1]} x {image.shape[2]} pixels, those to compare with are "
            f"{height} x {width}",
            "Features of images of two sizes are not compared.",
        )
    features = gallery_features(subject, gallery, progress=progress)
    mean, spread = standardised(features)
    known = directions(features, mean, spread)
    asked = features_of(subject, image[None]).numpy()
    if not np.isfinite(asked).all():
        raise UserError(
            "the image's features are no numbers (NaN or infinite)",
            "The network's weights are damaged, or overflow on this image.",
        )
    distances = _distances(directions(asked, mean, spread), known)[0]
    same = _same_pixels(image, gallery, np.argsort(distances, kind="stable")[:most])
    # An engine and a batch of another size round otherwise: the very same image is at 0 whatever computed it.
    distances[same] = 0.0
    order = np.argsort(distances, kind="stable")[:most]
    nearest = tuple(Neighbour(int(row), float(distances[row]), int(row) in same) for row in order)
    return Neighbours(nearest, _usual(known, gallery))


def nearest_rows(known: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(N, count) of vectors (N, D) of length 1: the nearest others of each, nearest first."""
    distances = _distances(known, known)
    np.fill_diagonal(distances, np.inf)
    rows: NDArray[np.int64] = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return rows


def _distances(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.clip(1 - left @ right.T, 0, 2)
    return distances


def _same_pixels(image: Tensor, gallery: Gallery, rows: NDArray[np.int64]) -> list[int]:
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return [int(row) for row in rows if np.array_equal(gallery.pixels(row), pixels)]


def _usual(known: NDArray[np.float64], gallery: Gallery) -> NDArray[np.float64]:
    if len(known) < 2:
        return np.empty(0)
    rows = list(gallery.rows(_PROBED))
    distances = _distances(known[rows], known)
    distances[np.arange(len(rows)), rows] = np.inf
    return np.sort(distances.min(axis=1))
