from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from convolve.networks.heads.standardised_linear import StandardisedLinear
from convolve.training.classifiers import CLASSIFIERS, Setting, standardisation
from convolve.training.task import Task

# Share of the covariance that is replaced by a round one, from nearly nearest means to nearly the data's own.
_SHRINKAGES = (0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


@final
class Lda:
    """Linear discriminant analysis with a shrunken covariance, on standardised features.

    It answers what scikit-learn's LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s) does, whose own solution takes
    the singular values of a D x D matrix, a minute for some thousand features. Class weights do not count: how frequent
    a class is among the training images is how probable it is taken to be.
    """

    in_words = "linear discriminant analysis"
    several_labels = False
    in_order = True

    def settings(self, *, images: int, features: int) -> list[Setting]:
        """The shrinkage, from strong to weak."""
        return [{"shrinkage": shrinkage} for shrinkage in _SHRINKAGES]

    def fitter(
        self, features: Tensor, targets: Tensor, task: Task, *, exact: bool = False
    ) -> Callable[[Setting], StandardisedLinear]:
        """Fits with products that are computed once."""
        mean, scale = standardisation(features.double())
        classes, labels, counts = torch.unique(targets, return_inverse=True, return_counts=True)
        standardised = (features - mean) / scale
        images, width = standardised.shape
        means = torch.zeros(len(classes), width, dtype=torch.float64).index_add_(0, labels, standardised)
        means /= counts[:, None]
        within = standardised - means[labels]
        variance = float(within.square().mean())
        # The inverse of a I + b X'X through X X' where that is smaller: Woodbury.
        wide = width > images
        products = within @ within.T if wide else within.T @ within

        def fit(setting: Setting) -> StandardisedLinear:
            shrinkage = setting["shrinkage"]
            own = (1 - shrinkage) / images
            # Without any variance within classes, nearest means are left.
            round_part = max(shrinkage * variance, torch.finfo(torch.float64).tiny)
            factor = torch.linalg.cholesky((own * products).diagonal_scatter(own * products.diagonal() + round_part))
            if wide:
                inner = torch.cholesky_solve(within @ means.T, factor)
                weight = (means - own * inner.T @ within) / round_part
            else:
                weight = torch.cholesky_solve(means.T, factor).T
            bias = -0.5 * (means * weight).sum(dim=1) + (counts.double() / images).log()
            return StandardisedLinear(
                mean=mean, scale=scale, weight=weight, bias=bias, classes=classes, outputs=task.outputs
            )

        return fit


CLASSIFIERS.add("lda", Lda())
