"""How well regions cover the objects, before anything is said of their classes: what bounds a detector on them."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convolve.tasks.detect.overlap import Truth, overlaps

COUNTS = (100, 300, 1000, 2000)

Regions: TypeAlias = NDArray[np.floating[Any]]


def best_overlaps(
    truths: Sequence[Truth], proposals: Sequence[Regions], *, counts: Sequence[int] = COUNTS
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The highest IoU of every object that counts with one of the first so many regions, and its class.

    Args:
        truths: of N images.
        proposals: (R, 4) of each, best first.
        counts: n of them.

    Returns:
        (n, G) and (G,), the objects of all images in turn.
    """
    highest = [
        _highest(regions, truth.corners[truth.counts], counts) for truth, regions in zip(truths, proposals, strict=True)
    ]
    return np.concatenate(highest, axis=1), np.concatenate([truth.labels[truth.counts] for truth in truths])


def proposal_figures(
    truths: Sequence[Truth],
    proposals: Sequence[Regions],
    classes: Sequence[str],
    *,
    counts: Sequence[int] = COUNTS,
) -> dict[str, Any] | None:
    """Recall and mean best overlap, as plain JSON values; None where there is no object.

    "average_best_overlap" is a class's mean of the highest IoU of each of its objects, None without any;
    "mean_average_best_overlap" the mean of the classes'. Both are at the most regions.

    Args:
        truths: of N images.
        proposals: (R, 4) of each, best first.
        classes: K names.
        counts: ascending numbers of regions, the first of an image that are looked at.

    Source: Uijlings et al., "Selective search for object recognition", IJCV 2013, section 5.

    >>> truth = Truth(np.array([[0.0, 0, 10, 10]]), np.array([0]), np.array([True]), np.array([False]))
    >>> found = proposal_figures([truth], [np.array([[0.0, 0, 10, 4], [0, 0, 10, 6]])], ["cell"], counts=(1, 2))
    >>> found["top1"]["mean_average_best_overlap"], found["top2"]["recall_50"], found["top2"]["recall_70"]
    (0.4, 1.0, 0.0)
    """
    best, labels = best_overlaps(truths, proposals, counts=counts)
    if not len(labels):
        return None
    by_class = [
        float(best[-1, labels == label].mean()) if (labels == label).any() else None for label in range(len(classes))
    ]
    return {
        "regions_per_image": float(np.mean([len(regions) for regions in proposals])),
        **{f"top{count}": _row(row, labels) for count, row in zip(counts, best, strict=True)},
        "average_best_overlap": dict(zip(classes, by_class, strict=True)),
        "mean_average_best_overlap": _row(best[-1], labels)["mean_average_best_overlap"],
    }


def _row(best: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    means = [best[labels == label].mean() for label in np.unique(labels)]
    return {
        "recall_50": float(np.mean(best >= 0.5)),
        "recall_70": float(np.mean(best >= 0.7)),
        "mean_average_best_overlap": float(np.mean(means)),
    }


def _highest(regions: Regions, objects: NDArray[np.float64], counts: Sequence[int]) -> NDArray[np.float64]:
    """(n, G) of one image."""
    covered = overlaps(regions[: max(counts)].astype(np.float64), objects)
    return np.stack([covered[:count].max(axis=0, initial=0.0) for count in counts])
