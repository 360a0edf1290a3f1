"""Whether probabilities mean what they say, before and after the temperature."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.tasks.metrics.calibration_error import calibration_error
from convolve.tasks.metrics.reliability import reliability
from convolve.tasks.metrics.wilson_interval import wilson_interval


def calibration_figures(
    calibrated: NDArray[np.float64], uncalibrated: NDArray[np.float64], right: NDArray[np.bool_]
) -> dict[str, Any]:
    """The part of a task's results that is about calibration, as plain JSON values.

    Args:
        calibrated: (N,) confidences in [0, 1], logits divided by the temperature.
        uncalibrated: (N,) confidences in [0, 1] at temperature 1.
        right: (N,) whether each prediction came true.

    Returns:
        "ece" and "ece_before", and "reliability": bins with confidence, accuracy, its Wilson interval and n.
    """
    bins = reliability(calibrated, right)
    return {
        "ece": calibration_error(bins),
        "ece_before": calibration_error(reliability(uncalibrated, right)),
        "reliability": [
            {**asdict(point), "accuracy_ci95": list(wilson_interval(point.accuracy * point.n, point.n))}
            for point in bins
        ],
    }
