"""The squashing function of LeNet-5."""

import torch
from torch import Tensor, nn


class ScaledTanh(nn.Module):
    """1.7159 tanh(2a / 3): it maps +-1 to +-1, and is steepest bent there, so targets of +-1 do not saturate units.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86 (1998), appendix A.
    """

    def forward(self, activations: Tensor) -> Tensor:
        """Any shape -> the same, in (-1.7159, 1.7159)."""
        return 1.7159 * torch.tanh(activations * (2 / 3))
