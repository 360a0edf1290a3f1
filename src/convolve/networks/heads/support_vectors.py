from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from convolve.networks.exact_head import ExactHead, check_shapes
from convolve.networks.heads import HEADS, HeadKind


@final
class SupportVectors(ExactHead):
    """A support vector machine with Gaussian kernel, one against one, as LIBSVM has it.

    The outputs of more than two classes are scikit-learn's `decision_function_shape="ovr"`: the votes of the pairs, and
    the sum of their decision values squeezed into (-1/3, 1/3) to break ties. Those of two are 0 and the decision value.

    Chang and Lin, "LIBSVM: a library for support vector machines", 2011; scikit-learn's `_ovr_decision_function`.

    Args:
        mean, scale: (D,) float64; distances are between features (x - mean) / scale.
        vectors: (S, D) float32, not standardised; those of the first class first.
        counts: (P,) int64, how many of them each class has.
        coefficients: (P - 1, S) float64, scikit-learn's `dual_coef_`.
        intercepts: (P (P - 1) / 2,) float64, one a pair of classes.
        gamma: () float64; the kernel is exp(-gamma |a - b|^2).
        classes: as for `ExactHead`.
        outputs: as for `ExactHead`.

    Raises:
        ValueError: the shapes do not fit one another.
    """

    mean: Tensor
    scale: Tensor
    vectors: Tensor
    counts: Tensor
    coefficients: Tensor
    intercepts: Tensor
    gamma: Tensor

    def __init__(
        self,
        *,
        mean: Tensor,
        scale: Tensor,
        vectors: Tensor,
        counts: Tensor,
        coefficients: Tensor,
        intercepts: Tensor,
        gamma: Tensor,
        classes: Tensor,
        outputs: int,
    ) -> None:
        super().__init__(classes, outputs=outputs)
        present, width, stored = len(classes), len(mean), int(counts.sum())
        check_shapes(
            {
                "scale": (scale, (width,)),
                "vectors": (vectors, (stored, width)),
                "counts": (counts, (present,)),
                "coefficients": (coefficients, (present - 1, stored)),
                "intercepts": (intercepts, (present * (present - 1) // 2,)),
                "gamma": (gamma, ()),
            }
        )
        self.keep(mean=mean, scale=scale, vectors=vectors, counts=counts)
        self.keep(coefficients=coefficients, intercepts=intercepts, gamma=gamma)

    def scores(self, features: Tensor) -> Tensor:
        """(N, P) of features (N, D)."""
        standardised = (features - self.mean) / self.scale
        vectors = (self.vectors.double() - self.mean) / self.scale
        kernel = torch.exp(-self.gamma * squared_distances(standardised, vectors))
        sizes = self.counts.tolist()
        # Of each class the part that its vectors have in every decision against another one: P of (N, P - 1).
        parts = torch.stack(
            [
                block @ coefficients.T
                for block, coefficients in zip(
                    torch.split(kernel, sizes, dim=1), torch.split(self.coefficients, sizes, dim=1), strict=True
                )
            ]
        )
        present = len(self.classes)
        first, second = torch.triu_indices(present, present, offset=1)
        decisions = (parts[first, :, second - 1] + parts[second, :, first]).T + self.intercepts  # (N, pairs)
        if present == 2:
            # Positive for the second class: scikit-learn turns the sign where there are two.
            return torch.cat([torch.zeros_like(decisions), decisions], dim=1)
        votes, confidence = (features.new_zeros(len(features), present) for _ in range(2))
        won = (decisions >= 0).double()
        votes.index_add_(1, first, won).index_add_(1, second, 1 - won)
        confidence.index_add_(1, first, decisions).index_add_(1, second, -decisions)
        return votes + confidence / (3 * (confidence.abs() + 1))


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """(N, M) squared Euclidean distances between (N, D) and (M, D), by one matrix product."""
    products = left @ right.T
    return (left.square().sum(dim=1)[:, None] - 2 * products + right.square().sum(dim=1)).clamp_(min=0)


def _from_tensors(tensors: Mapping[str, Tensor], *, features: int, outputs: int) -> SupportVectors:
    check_shapes({"mean": (tensors["mean"], (features,))})
    return SupportVectors(**tensors, outputs=outputs)


HEADS.add("support-vectors", HeadKind(SupportVectors, _from_tensors, ("coefficients", "intercepts")))
