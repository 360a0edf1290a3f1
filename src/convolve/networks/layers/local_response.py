"""AlexNet's local response normalisation: each map is damped by its neighbours at the same place."""

from torch import Tensor, nn
from torch.nn import functional as F


class LocalResponseNorm(nn.Module):
    """b_i = a_i / (k + alpha * sum of a_j^2 over the `neighbours` maps around i, itself included)^beta.

    The paper's alpha multiplies the sum; `torch.nn.LocalResponseNorm` and Caffe multiply the mean, so that theirs is
    `neighbours` times as large. It is written here of sums, of which receptive fields can be followed.

    Args:
        neighbours: n, odd; at the first and the last maps there are fewer.
        alpha: strength.
        beta: exponent.
        k: what a silent neighbourhood divides by, to the power of beta.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks",
    NIPS 2012, section 3.3, whose constants are the defaults.
    """

    def __init__(self, neighbours: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        reach = self.neighbours // 2
        squares = F.pad(maps * maps, (0, 0, 0, 0, reach, reach))
        # An end counted from the back: the number of maps is not asked for, so that the layer can be traced.
        sums = squares[:, : -2 * reach]
        for first in range(1, 2 * reach):
            sums = sums + squares[:, first : first - 2 * reach]
        sums = sums + squares[:, 2 * reach :]
        return maps / (self.k + self.alpha * sums).pow(self.beta)

    def extra_repr(self) -> str:
        """The constants, for `print(network)`."""
        return f"neighbours={self.neighbours}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
