"""A map of many images on which those that the network finds alike lie near one another."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from convolve.errors import UserError
from convolve.randomness import seed_of
from convolve.see.inside.features import directions, standardised
from convolve.see.inside.neighbours import nearest_rows

LEAST = 10
"""Images that a map needs."""

_PCA_DIMENSIONS, _LARGEST_PERPLEXITY = 50, 30.0
# Of its neighbours, so many must agree on another class, and so few may have its own.
_AGREEING, _OWN = 0.7, 0.1


@dataclass(frozen=True)
class Misfit:
    """An image whose class few of its neighbours have: perhaps its label is wrong.

    Attributes:
        row: of the vectors.
        other: the class that most of its neighbours have.
        agreeing: how many of them.
    """

    row: int
    other: str
    agreeing: int


def perplexity_of(images: int) -> float:
    """About how many neighbours count for an image: 30, or a third of the others where they are few."""
    return min(_LARGEST_PERPLEXITY, (images - 1) / 3)


def embedded(features: NDArray[np.float32], *, seed: int) -> NDArray[np.float32]:
    """(N, 2) places of images on a map: t-SNE of the directions of their standardised features.

    The features are first reduced to at most 50 principal components, as the authors do; the start is the first two.

    Args:
        features: (N, D), N at least `LEAST`.
        seed: of what scikit-learn draws; the same seed, the same map, on one machine.

    Raises:
        UserError: too few images, or all have the same features.

    Source: van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 9 (2008), 2579-2605.
    """
    count, width = features.shape
    if count < LEAST:
        raise UserError(f"a map needs {LEAST} images, and there are {count}", "Give more images.")
    vectors = directions(features, *standardised(features))
    if not np.ptp(vectors, axis=0).any():
        raise UserError(
            "the network has the same features for all images, so there is nothing to draw a map by",
            "Its weights are damaged, or its units are all silent; train it again with a lower learning rate.",
        )
    state = seed_of(seed, "embedding") % 2**32
    components = PCA(min(_PCA_DIMENSIONS, count - 1, width), random_state=state).fit_transform(vectors)
    if components.shape[1] == 1:
        components = np.hstack([components, np.zeros_like(components)])
    drawing = TSNE(perplexity=perplexity_of(count), init="pca", learning_rate="auto", random_state=state)
    places: NDArray[np.float32] = drawing.fit_transform(components)
    return places


def neighbour_rows(features: NDArray[np.float32], count: int = 10) -> NDArray[np.int64]:
    """(N, min(count, N - 1)) the nearest others of each image in feature space, nearest first."""
    return nearest_rows(directions(features, *standardised(features)), min(count, len(features) - 1))


def near_on_map(places: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) the nearest other image of each on the map."""
    squares = ((places[:, None, :] - places[None, :, :]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    rows: NDArray[np.int64] = squares.argmin(axis=1)
    return rows


def same_class_share(neighbours: NDArray[np.int64], truths: Sequence[str]) -> float | None:
    """The share of neighbours that have the class of the image whose neighbours they are; None without classes.

    Args:
        neighbours: (N, k) rows.
        truths: N; images and neighbours without a truth are not counted.
    """
    names = np.array(truths)
    near = names[neighbours]
    counted = (names != "")[:, None] & (near != "")
    return float((near == names[:, None])[counted].mean()) if counted.any() else None


def misfits(neighbours: NDArray[np.int64], truths: Sequence[str]) -> tuple[Misfit, ...]:
    """The images whose neighbours mostly share one other class, and hardly one of them theirs; clearest first.

    Args:
        neighbours: (N, k) rows, k at least 1.
        truths: N, empty where unknown.
    """
    found = []
    count = neighbours.shape[1]
    for row, truth in enumerate(truths):
        around = Counter(truths[other] for other in neighbours[row] if truths[other])
        if not truth or not around:
            continue
        other, agreeing = around.most_common(1)[0]
        if other != truth and agreeing >= _AGREEING * count and around[truth] <= _OWN * count:
            found.append(Misfit(row, other, agreeing))
    return tuple(sorted(found, key=lambda misfit: (-misfit.agreeing, misfit.row)))
