"""How sure average precisions are, given how few images they rest on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convolve.randomness import numpy_generator
from convolve.tasks.classify.intervals import group_numbers
from convolve.tasks.detect.assignment import ClassMatches
from convolve.tasks.detect.curves import weighted_average_precision

RESAMPLES = 1000
_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Intervals:
    """95 % intervals (low, high); None where resamples have no spread, as when everything is found.

    Attributes:
        map50: of the mean over classes at the first IoU threshold.
        map: of the mean over classes and thresholds.
        ap50: of each class at the first threshold.
        method: in words, for a report.
    """

    map50: tuple[float, float] | None
    map: tuple[float, float] | None
    ap50: list[tuple[float, float] | None]
    method: str


def intervals(
    matches: Sequence[ClassMatches],
    *,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Intervals:
    """Percentile intervals, by drawing the images again, with replacement; classes that a resample lacks are left out.

    Matching is done within an image, so that only the ranking has to be counted anew, each image as often as it was
    drawn.

    Args:
        matches: of K classes in N images, at T IoU thresholds.
        groups: of the N images; given, groups are drawn, a None standing alone.
        seed: of what is drawn.
        resamples: how often.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.
    """
    images = matches[0].truths.shape[1]
    units = np.arange(images) if groups is None else group_numbers(groups)
    count, noun = int(units.max()) + 1, "image" if groups is None else "group"
    if count < 2:
        return Intervals(None, None, [None] * len(matches), f"no interval: one {noun}")
    figures = _resampled(matches, units, seed=seed, resamples=resamples)
    return Intervals(
        _interval(_mean(figures[:, :, 0], axis=1)),
        _interval(_mean(_mean(figures, axis=1), axis=1)),
        [_interval(figures[:, label, 0]) for label in range(len(matches))],
        f"percentile bootstrap over {count:,} {noun}s, {resamples:,} resamples",
    )


def _resampled(
    matches: Sequence[ClassMatches], units: NDArray[np.int64], *, seed: int, resamples: int
) -> NDArray[np.float64]:
    """(R, K, T) average precisions."""
    count = int(units.max()) + 1
    longest = max(count, *(len(one.probabilities) for one in matches))
    rows = max(1, _NUMBERS_AT_ONCE // longest)
    generator = numpy_generator(seed, "bootstrap of detections")
    figures = []
    for start in range(0, resamples, rows):
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=min(rows, resamples - start))
        weights = drawn.astype(np.int32)[:, units]
        figures.append(np.stack([weighted_average_precision(one, weights) for one in matches], axis=1))
    return np.concatenate(figures)


def _interval(figures: NDArray[np.float64]) -> tuple[float, float] | None:
    known = figures[~np.isnan(figures)]
    if not len(known):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return (float(low), float(high)) if low < high else None


def _mean(figures: NDArray[np.float64], *, axis: int) -> NDArray[np.float64]:
    """Of those that are known; NaN where none is, without numpy's warning."""
    known = ~np.isnan(figures)
    total, count = np.where(known, figures, 0.0).sum(axis=axis), known.sum(axis=axis)
    means: NDArray[np.float64] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return means
