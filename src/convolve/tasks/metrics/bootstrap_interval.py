from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from convolve.randomness import numpy_generator

RESAMPLES = 2000
_NUMBERS_AT_ONCE = 4_000_000


def bootstrap_interval(
    tallies: NDArray[np.int64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    repeats: NDArray[np.int64] | None = None,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a figure, by drawing the units it was measured on again, with replacement.

    A unit is an image, or a group of images that belong together. Units with the same tallies can share a row and are
    drawn at once, as a multinomial number of them: the same distribution, a thousand times quicker.

    Args:
        tallies: (U, D) what every unit adds to the D counts that the figure is computed from.
        statistic: (R, D) summed counts of R resamples -> (R,) figures.
        repeats: (U,) how many units each row stands for; None = 1.
        confidence: in (0, 1).

    Returns:
        (low, high), the same on every call. A figure that all units agree on has no spread here: low = high.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.

    >>> right_or_wrong = np.array([[1, 1], [0, 1]])
    >>> low, high = bootstrap_interval(right_or_wrong, lambda s: s[:, 0] / s[:, 1], repeats=np.array([330, 42]))
    >>> round(low, 2), round(high, 2)
    (0.85, 0.92)
    """
    counts = np.ones(len(tallies), dtype=np.int64) if repeats is None else repeats
    units = int(counts.sum())
    generator = numpy_generator("bootstrap")
    rows = max(1, _NUMBERS_AT_ONCE // len(tallies))
    figures = []
    for start in range(0, RESAMPLES, rows):
        drawn = generator.multinomial(units, counts / units, size=min(rows, RESAMPLES - start))
        figures.append(statistic(drawn.astype(np.float64) @ tallies))
    low, high = np.quantile(np.concatenate(figures), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
