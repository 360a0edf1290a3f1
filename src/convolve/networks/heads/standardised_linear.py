from collections.abc import Mapping
from typing import final

from torch import Tensor

from convolve.networks.exact_head import ExactHead, check_shapes
from convolve.networks.heads import HEADS, HeadKind


@final
class StandardisedLinear(ExactHead):
    """A linear function of standardised features, for classifiers that are fitted to those.

    Args:
        mean, scale: (D,) float64; features are (x - mean) / scale, and one whose scale is infinite has no say.
        weight: (P, D) float64.
        bias: (P,) float64.
        classes: as for `ExactHead`.
        outputs: as for `ExactHead`.

    Raises:
        ValueError: the shapes do not fit one another.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(
        self, *, mean: Tensor, scale: Tensor, weight: Tensor, bias: Tensor, classes: Tensor, outputs: int
    ) -> None:
        super().__init__(classes, outputs=outputs)
        width, present = len(mean), len(classes)
        check_shapes({"scale": (scale, (width,)), "weight": (weight, (present, width)), "bias": (bias, (present,))})
        self.keep(mean=mean, scale=scale, weight=weight, bias=bias)

    def scores(self, features: Tensor) -> Tensor:
        """(N, P) of features (N, D)."""
        return (features - self.mean) / self.scale @ self.weight.T + self.bias


def _from_tensors(tensors: Mapping[str, Tensor], *, features: int, outputs: int) -> StandardisedLinear:
    check_shapes({"mean": (tensors["mean"], (features,))})
    return StandardisedLinear(**tensors, outputs=outputs)


HEADS.add("standardised-linear", HeadKind(StandardisedLinear, _from_tensors, ("weight", "bias")))
