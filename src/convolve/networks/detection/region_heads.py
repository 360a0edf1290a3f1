"""What is said of each region: its class, and where its edges really are."""

import torch
from torch import Tensor, nn

from convolve.networks.initialisation import he_initialise


class RegionHead(nn.Module):
    """Features of a region to class scores and box offsets.

    Args:
        body: (R, D, s, s) -> (R, F).
        features: F.
        classes: K, without the background.

    Attributes:
        body: up to the last features, which support vector machines may be fitted to.
        classifier: F -> K + 1 logits, background first; weights N(0, 0.01^2).
        offsets: F -> 4 K offsets, class by class; weights N(0, 0.001^2) (Girshick, ICCV 2015, 4.1). The paper's code
            has four more, for the background, that nothing trains or uses.
    """

    def __init__(self, body: nn.Module, *, features: int, classes: int) -> None:
        super().__init__()
        self.body = body
        self.classifier = nn.Linear(features, classes + 1)
        self.offsets = nn.Linear(features, 4 * classes)
        for layer, deviation in ((self.classifier, 0.01), (self.offsets, 0.001)):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def forward(self, regions: Tensor) -> Tensor:
        """(R, D, s, s) -> (R, K + 1 + 4 K)."""
        features = self.body(regions)
        return torch.cat((self.classifier(features), self.offsets(features)), dim=1)


def two_layers(channels: int, *, bins: int, width: int) -> nn.Sequential:
    """The papers' fc6 and fc7: (R, D, s, s) -> (R, width).

    Args:
        channels: D.
        bins: s.
        width: of both (4096 in the papers).
    """
    body = nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * bins * bins, width),
        nn.ReLU(inplace=True),
        nn.Linear(width, width),
        nn.ReLU(inplace=True),
    )
    he_initialise(body)
    return body
