"""Which anchors suit the boxes of a data set, and how well some anchors do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convolve.data.boxes.statistics import Sides, object_sides
from convolve.data.dataset import Sample
from convolve.errors import UserError

_SPACING = 1.5
"""From one size to the next: an object of the right shape halfway between has an IoU of 2/3 with both."""
_FEWEST, _MOST = 2, 8
_LEAST_SPREAD = 1.2
_ENDS = (0.05, 0.95)
_RATIOS = (0.1, 0.5, 0.9)
_SAME_RATIO, _MOST_RATIOS = 1.3, 3
_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class AnchorFit:
    """How well the best anchor of each object fits, were it centred on it; positions are not counted.

    Attributes:
        half: share of the objects with an IoU of 0.5 or more.
        seven_tenths: of 0.7 or more, which makes an anchor a positive one (Ren et al. 2015, section 3.1.2).
        mean: of the objects' IoU.
    """

    half: float
    seven_tenths: float
    mean: float


def propose_anchors(samples: Sequence[Sample], side: int) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Anchors for the boxes of some images.

    Sizes are spaced evenly, by a factor of 1.5 or less where eight are enough for that, from the 5th to the 95th
    percentile of the objects' sizes. Ratios are 1 and those of the 10th, 50th and 90th percentile that are at least 1.3
    times larger or smaller than those before.

    Args:
        samples: with boxes, those for training.
        side: the longest side of images at the network's input, pixels.

    Returns:
        Sizes (square roots of areas, pixels of the input), ratios (heights by widths), both ascending, and one sentence
        why.

    Raises:
        UserError: there are no objects.
    """
    sides = object_sides(samples, side)
    if len(sides) == 0:
        raise UserError("the images have no boxes of objects to fit anchors to", "Train on images with boxes.")
    low, high = np.quantile(np.sqrt(sides.prod(axis=1)), _ENDS).tolist()
    sizes = _spaced(low, high)
    ratios = _ratios(np.quantile(sides[:, 1] / sides[:, 0], _RATIOS).tolist())
    fit = _fit(sides, sizes, ratios)
    reason = (
        f"nine in ten objects are {low:.0f} to {high:.0f} pixels large at the input; of all, {fit.half:.1%} fit one of "
        f"these anchors with an IoU of 0.5 or more, {fit.seven_tenths:.1%} with 0.7"
    )
    return sizes, ratios, reason


def anchor_fit(samples: Sequence[Sample], side: int, sizes: Sequence[float], ratios: Sequence[float]) -> AnchorFit:
    """How well anchors fit the objects of some images.

    Args:
        samples: with boxes.
        side: the longest side of images at the network's input, pixels.
        sizes: square roots of the anchors' areas, pixels of the input.
        ratios: heights by widths; every size comes in every ratio.

    Raises:
        ValueError: there are no objects.
    """
    sides = object_sides(samples, side)
    if len(sides) == 0:
        raise ValueError("no objects")
    return _fit(sides, sizes, ratios)


def _fit(sides: Sides, sizes: Sequence[float], ratios: Sequence[float]) -> AnchorFit:
    anchors = np.array([(size / math.sqrt(ratio), size * math.sqrt(ratio)) for size in sizes for ratio in ratios])
    # Of many objects, the table of all pairs would not fit into memory.
    pieces = np.array_split(sides, -(-len(sides) // _AT_ONCE))
    best = np.concatenate([_centred_iou(piece, anchors).max(axis=1) for piece in pieces])
    return AnchorFit(float((best >= 0.5).mean()), float((best >= 0.7).mean()), float(best.mean()))


def _centred_iou(sides: Sides, anchors: Sides) -> NDArray[np.float64]:
    """(M, A) of every object with every anchor, both around one point."""
    shared: NDArray[np.float64] = np.minimum(sides[:, None], anchors).prod(axis=2)
    union: NDArray[np.float64] = sides.prod(axis=1)[:, None] + anchors.prod(axis=1) - shared
    return shared / union


def _spaced(low: float, high: float) -> tuple[float, ...]:
    # Where all objects are of one size, two sizes around it still leave room for new ones.
    middle, half = math.sqrt(low * high), math.sqrt(_LEAST_SPREAD)
    low, high = min(low, middle / half), max(high, middle * half)
    count = min(max(1 + math.ceil(math.log(high / low) / math.log(_SPACING)), _FEWEST), _MOST)
    return tuple(_short(size) for size in np.geomspace(low, high, count).tolist())


def _ratios(quantiles: Sequence[float]) -> tuple[float, ...]:
    chosen = [1.0]
    for ratio in quantiles:
        if all(max(ratio / other, other / ratio) >= _SAME_RATIO for other in chosen):
            chosen.append(ratio)
    if len(chosen) > _MOST_RATIOS:  # what is nearest to 1 adds least to it
        chosen.remove(min(chosen[1:], key=lambda ratio: abs(math.log(ratio))))
    return tuple(_short(ratio) for ratio in sorted(chosen))


def _short(value: float) -> float:
    """Three digits that count, as a recipe shall show it."""
    return float(f"{value:.3g}")
