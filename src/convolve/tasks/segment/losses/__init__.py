"""Losses of maps, by the name that a recipe's `loss.name` gives them; one file each."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from convolve.data.dataset import IGNORE
from convolve.registry import Registry


class MapLosses(Protocol):
    """One way to score a batch of maps."""

    def __call__(
        self, logits: Tensor, targets: Tensor, *, class_weights: Tensor | None, label_smoothing: float
    ) -> Tensor:
        """The loss of each image, (N,) of the logits' dtype, whose mean is the loss of the batch.

        A pixel whose target is `IGNORE` changes nothing: not the loss, not what it is divided by. A batch in which no
        pixel has a class costs 0, with a gradient of 0.

        Args:
            logits: (N, K, H, W), at least float32.
            targets: (N, H, W) int64 in [0, K), or `IGNORE`.
            class_weights: (K,) how much pixels of each class count, or None.
            label_smoothing: share of the target spread over all classes, in [0, 1).
        """


@dataclass(frozen=True, slots=True)
class PixelLoss:
    """A loss of maps, and which of a recipe's settings have a part in it.

    Attributes:
        losses: the function.
        weighs_classes: whether class weights change it.
        smooths_labels: whether label smoothing does.
    """

    losses: MapLosses
    weighs_classes: bool
    smooths_labels: bool


PIXEL_LOSSES: Registry[PixelLoss] = Registry("loss of maps", "convolve.tasks.segment.losses")


def mean_over_pixels(values: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """Every image's part of a weighted mean over the batch's labelled pixels, as PyTorch has it, times N.

    Args:
        values: (N, H, W) weighted already, 0 where the target is `IGNORE`.
        targets: (N, H, W) int64.
        class_weights: (K,) that the values are weighted by, or None.

    Returns:
        (N,), mean = sum of the values / sum of their weights; 0 where no pixel of the batch has a class.
    """
    weight = pixel_weights(targets, class_weights).sum().to(values)
    return values.sum(dim=(1, 2)) * len(values) / torch.where(weight > 0, weight, torch.ones_like(weight))


def pixel_weights(targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """(N,) float32, or as the weights: what the labelled pixels of each image weigh together.

    Args:
        targets: (N, H, W) int64.
        class_weights: (K,), or None = every pixel weighs 1.
    """
    labelled = targets != IGNORE
    if class_weights is None:
        return labelled.sum(dim=(1, 2)).float()
    return (class_weights[targets.masked_fill(~labelled, 0)] * labelled).sum(dim=(1, 2))
