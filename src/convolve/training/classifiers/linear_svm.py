import warnings
from collections.abc import Callable
from typing import final

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from torch import Tensor

from convolve.networks.heads.standardised_linear import StandardisedLinear
from convolve.training.classifiers import CLASSIFIERS, Setting, standardisation
from convolve.training.task import Task

# C times the number of features, whose standardised squares sum to about that number.
_COSTS = (0.01, 0.1, 1.0, 10.0, 100.0)


@final
class LinearSvm:
    """One linear support vector machine a class against the rest (scikit-learn's LinearSVC), on standardised features.

    Class weights count.
    """

    in_words = "a linear support vector machine"
    several_labels = False
    in_order = True

    def settings(self, *, images: int, features: int) -> list[Setting]:
        """C, from much regularisation to little."""
        return [{"C": cost / features} for cost in _COSTS]

    def fitter(
        self, features: Tensor, targets: Tensor, task: Task, *, exact: bool = False
    ) -> Callable[[Setting], StandardisedLinear]:
        """Fits to features that are standardised once."""
        mean, scale = standardisation(features.double())
        standardised = ((features - mean) / scale).numpy()
        weights = task.image_weights(targets).numpy()

        def fit(setting: Setting) -> StandardisedLinear:
            # LIBLINEAR penalises the intercept like a weight; as large as all features together, it has next to none.
            svm = LinearSVC(C=setting["C"], intercept_scaling=features.shape[1] ** 0.5, random_state=0)
            with warnings.catch_warnings():
                # Cross-validation judges what was found, whether or not it is the optimum to the last digit.
                warnings.simplefilter("ignore", ConvergenceWarning)
                svm.fit(standardised, targets.numpy(), sample_weight=weights)
            return head_of(svm, mean, scale, outputs=task.outputs)

        return fit


def head_of(svm: LinearSVC, mean: Tensor, scale: Tensor, *, outputs: int) -> StandardisedLinear:
    """The head that computes what a fitted machine does with standardised features.

    Args:
        svm: fitted; its classes are numbers of outputs.
        mean: (D,) float64 of the features.
        scale: (D,) float64, likewise.
        outputs: K.
    """
    weight, bias = svm.coef_, np.broadcast_to(svm.intercept_, len(svm.coef_))
    if len(svm.classes_) == 2:
        # One decision value, positive for the second class.
        weight, bias = (np.concatenate([np.zeros_like(part), part]) for part in (weight, bias))
    return StandardisedLinear(
        mean=mean,
        scale=scale,
        weight=torch.tensor(weight),
        bias=torch.tensor(bias),
        classes=torch.tensor(svm.classes_),
        outputs=outputs,
    )


CLASSIFIERS.add("linear-svm", LinearSvm())
