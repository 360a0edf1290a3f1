"""Which images the points of a learning curve are trained on: nested, and each class in its share."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import Sample, Split, labels_of
from convolve.errors import UserError
from convolve.randomness import numpy_generator

_FEW_OF_A_CLASS = 5
_FEWEST_OF_A_CLASS = 2
_LARGEST_STEP, _MOST_SIZES = 2.0, 8
# Largest to smallest size: over less, a curve's shape cannot be told from noise.
_LEAST_RANGE = 4
# From this range on, the curve begins at 5 images a class instead of 2.
_WIDE_RANGE = 8


def curve_sizes(images: int, classes: int) -> list[int]:
    """How many training images each point has: in equal ratios, from a few a class up to all.

    Args:
        images: all that there are to train on.
        classes: K.

    Raises:
        UserError: there are too few images for a curve.

    >>> curve_sizes(1968, 2)
    [10, 21, 45, 96, 205, 435, 925, 1968]
    """
    fewest = _FEWEST_OF_A_CLASS * classes
    if images < _LEAST_RANGE * fewest:
        raise UserError(
            f"{images} training images of {classes} classes are too few for a learning curve",
            f"It takes {_LEAST_RANGE * _FEWEST_OF_A_CLASS} a class, {_LEAST_RANGE * fewest} in all, besides those kept "
            "for testing.",
        )
    few = _FEW_OF_A_CLASS * classes
    smallest = few if images >= _WIDE_RANGE * few else fewest
    steps = max(3, math.ceil(math.log(images / smallest, _LARGEST_STEP)))
    sizes = np.geomspace(smallest, images, min(steps + 1, _MOST_SIZES))
    return [round(size) for size in sizes]


def nested_order(
    samples: Sequence[Sample], splits: Sequence[Split], hashes: Sequence[str], *, seed: int, draw: int
) -> list[NDArray[np.int64]]:
    """All images in an order of which every beginning is a fair small version of the whole.

    In every beginning each stratum (a class, or what the data set names, within training or validation) has its share,
    but for a fraction of a unit, and from the start on each class has two units, where it has them.

    Args:
        samples: the images to order.
        splits: of each, "train" or "validation".
        hashes: of each image's content.
        seed: of the recipe.
        draw: another draw, another order.

    Returns:
        Units, in their order: positions into `samples` of one image, or of a group or of copies, which come together
        since more of what is there already teaches less than something new.
    """
    units: dict[tuple[str, str], list[int]] = defaultdict(list)
    for position, (sample, content) in enumerate(zip(samples, hashes, strict=True)):
        units[("hash", content) if sample.group is None else ("group", sample.group)].append(position)
    strata: dict[tuple[object, ...], list[list[int]]] = defaultdict(list)
    for unit in sorted(units.values(), key=lambda positions: samples[positions[0]].name):
        first = samples[unit[0]]
        strata[(first.stratum or "", *labels_of(first), splits[unit[0]])].append(unit)
    generator = numpy_generator(seed, "curve", draw)
    placed = []
    for key in sorted(strata, key=repr):
        members = strata[key]
        # Systematic sampling: evenly spaced from a random beginning, so that each share is met as nearly as can be.
        places = (np.arange(len(members)) + generator.random()) / len(members)
        shuffled = (members[number] for number in generator.permutation(len(members)))
        placed += list(zip(places.tolist(), shuffled, strict=True))
    ordered = [unit for _, unit in sorted(placed, key=lambda pair: pair[0])]
    return [np.array(unit, dtype=np.int64) for unit in _classes_first(ordered, samples)]


def first_units(order: Sequence[NDArray[np.int64]], images: int) -> NDArray[np.int64]:
    """Positions, ascending, of the shortest beginning of an order that has so many images or more."""
    counts = np.cumsum([len(unit) for unit in order])
    wanted = int(np.searchsorted(counts, images)) + 1
    return np.sort(np.concatenate(order[:wanted]))


def _classes_first(ordered: Sequence[list[int]], samples: Sequence[Sample]) -> list[list[int]]:
    seen: dict[int, int] = defaultdict(int)
    front: list[list[int]] = []
    rest: list[list[int]] = []
    for unit in ordered:
        labels = {label for position in unit for label in labels_of(samples[position])}
        scarce = any(seen[label] < _FEWEST_OF_A_CLASS for label in labels)
        (front if scarce else rest).append(unit)
        for label in labels:
            seen[label] += scarce
    return front + rest
