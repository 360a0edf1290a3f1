"""Classifiers on the way through a backbone, which help to train it and are gone when it predicts."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Auxiliaries(nn.Module):
    """Classifiers on what leaves some of a backbone's layers.

    Args:
        heads: by the name of a child of the backbone, an `nn.Sequential`: what leaves it -> (N, K) outputs.
        weight: of each one's loss in the sum that is minimised; the network's own has 1.

    Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 5.
    """

    def __init__(self, heads: Mapping[str, nn.Module], *, weight: float) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(heads)
        self.weight = weight


class AllOutputs(nn.Module):
    """A network as a step of training runs it: the outputs of its head and of its auxiliary classifiers.

    Args:
        backbone: a chain of named layers.
        head: on the features.
        auxiliaries: on what leaves some of the layers.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, auxiliaries: Auxiliaries) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.auxiliaries = auxiliaries

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 1 + A, K): those of the head first, then of the A classifiers in the backbone's order."""
        maps, outputs = images, []
        for name, layer in self.backbone.named_children():
            maps = layer(maps)
            if name in self.auxiliaries.heads:
                outputs.append(self.auxiliaries.heads[name](maps))
        return torch.stack([self.head(maps), *outputs], dim=1)
