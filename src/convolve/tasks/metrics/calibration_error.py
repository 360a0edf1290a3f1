from collections.abc import Sequence

from convolve.tasks.metrics.reliability import ReliabilityBin


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Expected calibration error: how far confidence is from accuracy, weighted by the images in a bin.

    It cannot be 0 for few images even when every probability is true, since a share of few images is a coarse number.

    Args:
        bins: what `reliability` returns, at least one.

    Returns:
        In [0, 1], smaller is better.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.

    >>> calibration_error([ReliabilityBin(confidence=0.9, accuracy=0.5, n=2), ReliabilityBin(0.5, 0.5, 2)])
    0.2
    """
    return sum(point.n * abs(point.accuracy - point.confidence) for point in bins) / sum(point.n for point in bins)
