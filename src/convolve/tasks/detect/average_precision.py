"""Average precision of ranked detections: one number for precision at every recall.

Each function takes what the ranking looks like at the true detections alone, where precision has its peaks: with J of
them, `found` (..., J) is how many true ones there are down to each, itself included, `called` (..., J) how many
detections, true or false, and `truths` (...) how many objects there are to find. Leading axes are other rankings, as
the resamples of a bootstrap. All are in [0, 1], and NaN where there is nothing to find.
"""

import numpy as np
from numpy.typing import NDArray

RECALLS = np.linspace(0.0, 1.0, 101)
"""The recalls at which COCO reads off precision, to the last bit as pycocotools has them."""

_RECALLS_2007 = np.arange(11) / 10

Counts = NDArray[np.float64] | NDArray[np.int64] | NDArray[np.int32]


def coco_average_precision(found: Counts, called: Counts, truths: Counts) -> NDArray[np.float64]:
    """(...) the mean of the highest precision at or above each of the recalls 0, .01, ..., 1.

    Source: Lin et al., "Microsoft COCO: Common objects in context", ECCV 2014, and pycocotools' `accumulate`.

    >>> true_false_true = np.array([1, 2]), np.array([1, 3])
    >>> round(float(coco_average_precision(*true_false_true, np.array(3))), 4)
    0.5545
    """
    return _mean_at(RECALLS, found, called, truths)


def voc2007_average_precision(found: Counts, called: Counts, truths: Counts) -> NDArray[np.float64]:
    """(...) the mean of the highest precision at or above each of the recalls 0, .1, ..., 1.

    Source: Everingham et al., "The PASCAL visual object classes (VOC) challenge", IJCV 2010, section 4.2.

    >>> true_false_true = np.array([1, 2]), np.array([1, 3])
    >>> round(float(voc2007_average_precision(*true_false_true, np.array(3))), 4)
    0.5455
    """
    return _mean_at(_RECALLS_2007, found, called, truths)


def voc_average_precision(found: Counts, called: Counts, truths: Counts) -> NDArray[np.float64]:
    """(...) the area below the highest precision at or above each recall, as VOC counts from 2010 on.

    Source: Everingham et al., "The PASCAL visual object classes challenge: a retrospective", IJCV 2015, section 2.2.

    >>> true_false_true = np.array([1, 2]), np.array([1, 3])
    >>> round(float(voc_average_precision(*true_false_true, np.array(3))), 4)
    0.5556
    """
    total = (np.diff(found, axis=-1, prepend=0) * envelope(found, called)).sum(axis=-1)
    return np.where(truths > 0, total / np.maximum(truths, 1), np.nan)


def envelope(found: Counts, called: Counts) -> NDArray[np.float64]:
    """(..., J) the highest precision at each true detection or further down."""
    precision = np.divide(found, called, out=np.zeros(found.shape), where=called > 0)
    return np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]


def precision_at(found: Counts, called: Counts, truths: int) -> NDArray[np.float64]:
    """(101,) the highest precision at or above each of `RECALLS`, 0 where none is reached; of one ranking."""
    highest = np.append(envelope(found, called), 0.0)
    return highest[np.searchsorted(_recall(found, np.array(truths)), RECALLS, side="left")]


def _mean_at(recalls: NDArray[np.float64], found: Counts, called: Counts, truths: Counts) -> NDArray[np.float64]:
    # Every true detection stands for the recalls above the last one's, up to its own: no search from each recall, so
    # that many rankings go at once.
    reached = np.searchsorted(recalls, _recall(found, truths), side="right")
    # Divided last, so that whole numbers add up: all found is 1 and not a bit more.
    total = (np.diff(reached, axis=-1, prepend=0) * envelope(found, called)).sum(axis=-1)
    return np.where(truths > 0, total / len(recalls), np.nan)


def _recall(found: Counts, truths: Counts) -> NDArray[np.float64]:
    recall: NDArray[np.float64] = found / np.maximum(truths, 1)[..., None]
    return recall
