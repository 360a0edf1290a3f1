"""How sure the accuracies of one split are, given how few images or groups they rest on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convolve.tasks.metrics.bootstrap_interval import RESAMPLES, bootstrap_interval
from convolve.tasks.metrics.wilson_interval import wilson_interval


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval and how it was made.

    Attributes:
        low, high: fractions.
        method: in words, for a report.
    """

    low: float
    high: float
    method: str


def group_numbers(groups: Sequence[str | None]) -> NDArray[np.int64]:
    """(N,) the number of each image's group, from 0; an image without a group stands alone.

    >>> group_numbers(["patient 1", None, "patient 1", None]).tolist()
    [0, 1, 0, 2]
    """
    numbers: dict[tuple[str | None, int], int] = {}
    keys = [(group, -1 if group is not None else position) for position, group in enumerate(groups)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def accuracy_interval(right: NDArray[np.bool_], groups: NDArray[np.int64] | None) -> Interval:
    """The 95 % interval of an accuracy: percentile bootstrap, or Wilson's where the bootstrap has no spread.

    When everything is right, every resample is right too and the bootstrap would claim certainty from five images.

    Args:
        right: (N,) whether each image is right.
        groups: (N,) group numbers from 0; images of one group are drawn together, since they are alike. None = each
            image by itself.
    """
    if groups is None:
        units, noun = len(right), "images"
        tallies = np.array([[1, 1], [0, 1]])
        repeats = np.array([np.count_nonzero(right), np.count_nonzero(~right)])
        low, high = bootstrap_interval(tallies, _share, repeats=repeats)
    else:
        units, noun = int(groups.max()) + 1, "groups"
        tallies = np.stack([np.bincount(groups, weights=right), np.bincount(groups)], axis=1).astype(np.int64)
        low, high = _group_interval(tallies, _share)
    if low < high:
        return Interval(low, high, f"percentile bootstrap over {units:,} {noun}, {RESAMPLES:,} resamples")
    low, high = wilson_interval(float(right.mean()) * units, units)
    return Interval(low, high, f"Wilson interval for {units:,} {noun}")


def balanced_accuracy_interval(
    targets: NDArray[np.int64], right: NDArray[np.bool_], groups: NDArray[np.int64] | None, classes: int
) -> list[float] | None:
    """[low, high], the 95 % percentile bootstrap interval of a balanced accuracy; None where resamples have no spread.

    Args:
        targets: (N,) true classes in [0, classes).
        right: (N,) whether each image is right.
        groups: (N,) group numbers from 0, or None.
        classes: K.
    """
    # An image is one of 2 K kinds: of class k and right, of class k and wrong.
    kinds = targets + classes * ~right
    per_kind = np.concatenate([np.eye(classes), np.zeros((classes, classes))])
    adds = np.concatenate([per_kind, np.concatenate([np.eye(classes)] * 2)], axis=1).astype(np.int64)
    if groups is None:
        interval = bootstrap_interval(adds, _mean_share, repeats=np.bincount(kinds, minlength=2 * classes))
    else:
        of_group = np.zeros((int(groups.max()) + 1, 2 * classes), dtype=np.int64)
        np.add.at(of_group, (groups, kinds), 1)
        interval = _group_interval(of_group @ adds, _mean_share)
    return list(interval) if interval[0] < interval[1] else None


def _group_interval(
    tallies: NDArray[np.int64], statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> tuple[float, float]:
    kinds, repeats = np.unique(tallies, axis=0, return_counts=True)
    return bootstrap_interval(kinds, statistic, repeats=repeats)


def _share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = sums[:, 0] / sums[:, 1]
    return shares


def _mean_share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    right, images = np.hsplit(sums, 2)
    present = images > 0
    shares = np.divide(right, images, out=np.zeros_like(right), where=present)
    means: NDArray[np.float64] = shares.sum(axis=1) / present.sum(axis=1)
    return means
