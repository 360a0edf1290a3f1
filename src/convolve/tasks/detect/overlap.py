"""How far boxes cover one another, and the truth of an image as arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import Boxes


class Truth(NamedTuple):
    """The objects of an image, in the annotation's order.

    Attributes:
        corners: (G, 4) float64 left, top, right, bottom, pixels.
        labels: (G,) int64 class indices.
        counts: (G,) whether it must be found; not so difficult objects and crowds.
        is_crowd: (G,) whether it is a region with any number of objects.
    """

    corners: NDArray[np.float64]
    labels: NDArray[np.int64]
    counts: NDArray[np.bool_]
    is_crowd: NDArray[np.bool_]


def truth_of(boxes: Boxes) -> Truth:
    """The same as arrays."""
    return Truth(
        np.array([one.corners for one in boxes.objects], np.float64).reshape(-1, 4),
        np.array([one.index for one in boxes.objects], np.int64),
        np.array([one.kind == "object" for one in boxes.objects], np.bool_),
        np.array([one.kind == "crowd" for one in boxes.objects], np.bool_),
    )


def areas_of(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) square pixels, of boxes (M, 4)."""
    areas: NDArray[np.float64] = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    return areas


def overlaps(
    boxes: NDArray[np.float64], others: NDArray[np.float64], is_crowd: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """(D, G) intersection over union of every box (D, 4) with every other one (G, 4), in [0, 1]; 0 without any area.

    Args:
        boxes: left, top, right, bottom.
        others: likewise.
        is_crowd: (G,) where the intersection is divided by the area of the box (of D) alone, since a region of many
            objects is no larger than one of them: pycocotools' `iscrowd`.
    """
    sides = np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - np.maximum(boxes[:, None, :2], others[None, :, :2])
    common = sides.clip(min=0).prod(axis=2)
    own = areas_of(boxes)[:, None]
    whole = own + areas_of(others)[None] - common
    if is_crowd is not None:
        whole = np.where(is_crowd[None], own, whole)
    shares: NDArray[np.float64] = np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
    return shares
