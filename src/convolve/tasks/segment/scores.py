"""Figures of maps, from three counts a class (..., 3, K): its pixels that are right, its pixels, pixels called so.

A class that neither occurs nor is predicted has no figures and is left out of means; one that is predicted and does not
occur has an IoU of 0, since everything called so is wrong. Source of accuracies and IoUs: Long, Shelhamer and Darrell,
"Fully convolutional networks for semantic segmentation", CVPR 2015, section 5.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Counts: TypeAlias = NDArray[np.int64] | NDArray[np.float64]
Figures: TypeAlias = NDArray[np.float64]


def class_counts(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """(..., 3, K) counts of confusion matrices (..., K, K), rows = truth: all that the figures need.

    >>> class_counts(np.array([[3, 1], [0, 4]])).tolist()
    [[3, 4], [4, 4], [3, 5]]
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([right, confusion.sum(axis=-1), confusion.sum(axis=-2)], axis=-2)


def iou(counts: Counts) -> Figures:
    """(..., K) intersection over union of each class, NaN where it has none.

    >>> iou(class_counts(np.array([[3, 1], [0, 4]]))).tolist()
    [0.75, 0.8]
    """
    right, truth, called = _parts(counts)
    return _ratio(right, truth + called - right)


def f1(counts: Counts) -> Figures:
    """(..., K) F1 of each class, which is its Dice coefficient, NaN where it has none."""
    right, truth, called = _parts(counts)
    return _ratio(2 * right, truth + called)


def recall(counts: Counts) -> Figures:
    """(..., K) share of each class's pixels that are found, NaN where it does not occur."""
    right, truth, _ = _parts(counts)
    return _ratio(right, truth)


def precision(counts: Counts) -> Figures:
    """(..., K) share of the pixels called so that are so, NaN where none is called so."""
    right, _, called = _parts(counts)
    return _ratio(right, called)


def mean_iou(counts: Counts) -> Figures:
    """(...) mean over the classes that have an IoU, NaN where none has."""
    return _mean(iou(counts))


def mean_accuracy(counts: Counts) -> Figures:
    """(...) mean over the classes that occur of the share of their pixels that is right, NaN where none does."""
    return _mean(recall(counts))


def pixel_accuracy(counts: Counts) -> Figures:
    """(...) share of the pixels that is right, NaN where there is none."""
    right, truth, _ = _parts(counts)
    return _ratio(right.sum(axis=-1), truth.sum(axis=-1))


def frequency_weighted_iou(counts: Counts) -> Figures:
    """(...) IoUs weighted by the classes' shares of the pixels, NaN where there is none."""
    _, truth, _ = _parts(counts)
    return _ratio((truth * np.nan_to_num(iou(counts))).sum(axis=-1), truth.sum(axis=-1))


def _parts(counts: Counts) -> tuple[Figures, Figures, Figures]:
    right, truth, called = np.moveaxis(np.asarray(counts, np.float64), -2, 0)
    return right, truth, called


def _ratio(part: Figures, whole: Figures) -> Figures:
    ratio: Figures = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return ratio


def _mean(values: Figures) -> Figures:
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))
