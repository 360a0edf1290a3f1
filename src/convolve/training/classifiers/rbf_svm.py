from collections.abc import Callable
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.svm import SVC
from torch import Tensor

from convolve.errors import UserError
from convolve.networks.heads.support_vectors import SupportVectors, squared_distances
from convolve.training.classifiers import CLASSIFIERS, Setting, standardisation
from convolve.training.task import Task

_COSTS = (1.0, 10.0, 100.0)
# gamma times the number of features: standardised, two images are at about twice that number squared.
_WIDTHS = (0.1, 0.3, 1.0)
# Memory grows with the square of the images: the distances within five folds of so many are about 2 GB.
_MOST_IMAGES = 10_000


@final
class RbfSvm:
    """A support vector machine with Gaussian kernel (scikit-learn's SVC), on standardised features.

    Class weights count.
    """

    in_words = "a support vector machine with Gaussian kernel"
    several_labels = False
    in_order = False

    def settings(self, *, images: int, features: int) -> list[Setting]:
        """C and gamma, each with each.

        Raises:
            UserError: the distances between so many images would not fit into memory.
        """
        if images > _MOST_IMAGES:
            raise UserError(
                f"start.options.classifier='rbf-svm' is for up to {_MOST_IMAGES:,} training images a fold, "
                f"not {images:,}: it needs the distances between all of them",
                "Choose start.options.classifier=linear-svm, or use fewer labels: data.per_class=1000",
            )
        return [{"C": cost, "gamma": width / features} for width in _WIDTHS for cost in _COSTS]

    def fitter(
        self, features: Tensor, targets: Tensor, task: Task, *, exact: bool = False
    ) -> Callable[[Setting], SupportVectors]:
        """Fits to distances that are computed once: LIBSVM would compute them anew, and slowly, for every setting."""
        mean, scale = standardisation(features.double())
        standardised = (features - mean) / scale
        distances = squared_distances(standardised, standardised).float()
        weights = task.image_weights(targets).numpy()

        def fit(setting: Setting) -> SupportVectors:
            kernel = torch.exp(-setting["gamma"] * distances.double()).numpy()
            svm = SVC(C=setting["C"], kernel="precomputed", break_ties=True)
            svm.fit(kernel, targets.numpy(), sample_weight=weights)
            return head_of(svm, features, mean, scale, gamma=setting["gamma"], outputs=task.outputs)

        return fit


def head_of(svm: SVC, features: Tensor, mean: Tensor, scale: Tensor, *, gamma: float, outputs: int) -> SupportVectors:
    """The head that computes what a fitted machine does with standardised features.

    Args:
        svm: fitted; its classes are numbers of outputs.
        features: (N, D) float32 that it was fitted on, not standardised.
        mean: (D,) float64 of the features.
        scale: (D,) float64, likewise.
        gamma: of its kernel.
        outputs: K.
    """

    def exact(numbers: NDArray[np.float64]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64)

    return SupportVectors(
        mean=mean,
        scale=scale,
        vectors=features[torch.tensor(svm.support_, dtype=torch.int64)],
        counts=torch.tensor(svm.n_support_, dtype=torch.int64),
        coefficients=exact(svm.dual_coef_),
        intercepts=exact(svm.intercept_),
        gamma=torch.tensor(gamma, dtype=torch.float64),
        classes=torch.tensor(svm.classes_),
        outputs=outputs,
    )


CLASSIFIERS.add("rbf-svm", RbfSvm())
