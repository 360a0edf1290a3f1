"""What the boxes of images are like, and at which size a detector should see the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import Boxes, Sample

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
SMALL, MEDIUM = 32**2, 96**2
"""Areas, pixels: COCO calls objects below them small and medium, all others large."""

_USUAL_SIDE = 640
_ENLARGED = 2.0
"""Images are not blown up more than this: there is nothing to see between their pixels."""
_SIDE_STEP, _LARGEST_SIDE = 32, 16384
_LEAST_OBJECT = 16.0
"""Pixels at the input, one cell of a map of stride 16: of smaller objects the map hardly shows one apart."""
_SMALL_ONES = 0.1

Sides: TypeAlias = NDArray[np.float64]
"""(M, 2) widths and heights."""


@dataclass(frozen=True, slots=True)
class BoxStatistics:
    """Boxes of objects, neither difficult ones nor crowds, in pixels of a network's input.

    Attributes:
        objects: how many there are.
        small, medium, large: of them, by COCO's areas.
        width, height, size, ratio: `QUANTILES` of the width, the height, the square root of the area, and the height by
            the width; empty where there are no objects.
    """

    objects: int
    small: int
    medium: int
    large: int
    width: tuple[float, ...]
    height: tuple[float, ...]
    size: tuple[float, ...]
    ratio: tuple[float, ...]


def box_counts(samples: Sequence[Sample], classes: int) -> NDArray[np.int64]:
    """(K,) boxes of each class, whatever their kind."""
    indices = [one.index for sample in samples for one in _boxes(sample).objects]
    return np.bincount(np.array(indices, np.int64), minlength=classes).astype(np.int64)


def boxes_per_image(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """(N,) boxes of each image, whatever their kind."""
    return np.array([len(_boxes(sample).objects) for sample in samples], np.int64)


def object_sides(samples: Sequence[Sample], side: int | None = None) -> Sides:
    """(M, 2) width and height of every object that is neither difficult nor a crowd.

    Args:
        samples: with boxes.
        side: the longest side of images at the network's input, whose pixels are counted; None = the images' own.
    """
    sides = []
    for sample in samples:
        boxes = _boxes(sample)
        scale = side / max(boxes.hw) if side is not None and boxes.objects else 1.0
        for one in boxes.objects:
            if one.kind == "object":
                left, top, right, bottom = one.corners
                sides.append(((right - left) * scale, (bottom - top) * scale))
    return np.array(sides, np.float64).reshape(-1, 2)


def box_statistics(samples: Sequence[Sample], side: int) -> BoxStatistics:
    """The boxes of some images at an input whose longest side is `side`."""
    sides = object_sides(samples, side)
    width, height = sides.T
    areas = width * height
    return BoxStatistics(
        objects=len(sides),
        small=int((areas < SMALL).sum()),
        medium=int(((areas >= SMALL) & (areas < MEDIUM)).sum()),
        large=int((areas >= MEDIUM).sum()),
        width=_quantiles(width),
        height=_quantiles(height),
        size=_quantiles(np.sqrt(areas)),
        ratio=_quantiles(height / width),
    )


def choose_side(samples: Sequence[Sample]) -> tuple[int, str]:
    """The longest side at which a detector should see the images, pixels, and one sentence why.

    640, unless that would enlarge the images more than twice. If the 10th percentile of objects would then have fewer
    than 16 x 16 pixels, so many more that it has, but no more than the images themselves.

    Args:
        samples: with boxes, those for training.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples")
    own = float(np.median([max(_boxes(sample).hw) for sample in samples]))
    usual = min(_USUAL_SIDE, _step_below(_ENLARGED * own))
    reason = f"{usual} pixels" if usual == _USUAL_SIDE else f"twice the {own:.0f} pixels of the images, and no more"
    sides = object_sides(samples, usual)
    if len(sides) == 0:
        return usual, f"{reason}; there are no objects to go by"
    small = float(np.quantile(np.sqrt(sides.prod(axis=1)), _SMALL_ONES))
    if small >= _LEAST_OBJECT:
        return usual, f"{reason}, at which nine in ten objects are at least {small:.0f} pixels large"
    wanted = -(-usual * _LEAST_OBJECT / small // _SIDE_STEP) * _SIDE_STEP
    side = max(usual, min(int(wanted), _step_below(own), _LARGEST_SIDE))
    if side == usual:
        return usual, f"{reason}; one in ten objects is under {small:.0f} pixels large there, but images have no more"
    reached = small * side / usual
    return side, (
        f"at {usual} pixels one in ten objects would be under {small:.0f} pixels large; at {side} that is "
        f"{reached:.0f}" + ("" if side >= wanted else ", and images have no more")
    )


def _boxes(sample: Sample) -> Boxes:
    assert isinstance(sample.target, Boxes)  # noqa: S101 readers give all samples targets of one kind
    return sample.target


def _step_below(side: float) -> int:
    return max(1, int(side // _SIDE_STEP)) * _SIDE_STEP


def _quantiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(np.quantile(values, QUANTILES).tolist()) if len(values) else ()
