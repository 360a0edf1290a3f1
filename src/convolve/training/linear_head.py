"""A linear classifier on features that do not change: fitted to the optimum, its penalty chosen by cross-validation."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from convolve.training.classifiers import Probe, fit_classifier
from convolve.training.classifiers.logistic import PENALTIES, Logistic
from convolve.training.task import Task


def fit_probe(
    features: Tensor,
    targets: Tensor,
    folds: NDArray[np.int64],
    task: Task,
    *,
    penalties: Sequence[float] = PENALTIES,
    progress: Callable[[int, int], None],
) -> Probe:
    """Fit a linear head, an nn.Linear that training may go on from.

    Args:
        features: (N, D) float32.
        targets: (N, ...) as the task packed them.
        folds: (N,) fold of each image; images that belong together share one.
        task: for the loss.
        penalties: lambdas of lambda/2 |W|^2 to try, strong to weak.
        progress: told (fits done, fits in all).
    """
    return fit_classifier(Logistic(penalties), features, targets, folds, task, progress=progress)
