from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from convolve.data.dataset import IGNORE
from convolve.errors import UserError
from convolve.tasks.segment import scores
from convolve.tasks.segment.losses import PIXEL_LOSSES, pixel_weights


@final
class Pixels:
    """Which one of the classes every pixel shows: what a training on crops minimises, and is chosen by.

    Args:
        classes: K names, in the order of the outputs.
        loss: by name, see `PIXEL_LOSSES`.
        class_weights: (K,) how much pixels of each class count, or None.
        label_smoothing: share of the target spread over all classes, in [0, 1).

    Raises:
        UserError: there is no such loss, or class weights or label smoothing have no part in it.
    """

    name = "segment"
    score_name = "mean_iou"

    def __init__(
        self,
        classes: Sequence[str],
        *,
        loss: str = "softmax",
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        kind = PIXEL_LOSSES[loss]
        if class_weights is not None and not kind.weighs_classes:
            raise UserError(
                f"loss.name={loss} has no class weights", "Set loss.class_weights=none, or loss.name=softmax+dice."
            )
        if label_smoothing and not kind.smooths_labels:
            raise UserError(
                f"loss.name={loss} does not smooth labels", "Set loss.label_smoothing=0, or loss.name=softmax."
            )
        self.classes = tuple(classes)
        self._losses = kind.losses
        self._class_weights = class_weights
        self._label_smoothing = label_smoothing

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(N,) float32, whose mean is the batch's loss, from logits (N, K, H, W) and targets (N, H, W)."""
        weights = self._weights_on(outputs.device)
        return self._losses(
            outputs.float(), targets.long(), class_weights=weights, label_smoothing=self._label_smoothing
        )

    def condense(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Each image's confusion, loss and weight of its loss, (N, K*K + 2) float64; of the targets nothing is kept."""
        count, classes = len(outputs), len(self.classes)
        labelled = targets != IGNORE
        truth = targets.long().masked_fill(~labelled, 0)
        image = torch.arange(count, device=targets.device).view(-1, 1, 1)
        cells = ((image * classes + truth) * classes + outputs.argmax(dim=1))[labelled]
        confusions = torch.bincount(cells, minlength=count * classes**2).view(count, -1)
        weights = pixel_weights(targets.long(), self._weights_on(targets.device)).double()
        # `losses` divides by what the batch weighs, so that the mean over all batches is one over all pixels.
        summed = self.losses(outputs, targets).double() / count * weights.sum()
        return torch.cat([confusions.double(), summed[:, None], weights[:, None]], dim=1), targets.new_empty(count, 0)

    def evaluate(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The mean loss and the figures of one confusion matrix over all images, of what `condense` kept.

        Of images in which no pixel has a class everything is 0.
        """
        total = outputs.sum(dim=0)
        loss, weight = total[-2:].tolist()
        confusion = total[:-2].view(len(self.classes), -1).long().cpu().numpy()
        counts = scores.class_counts(confusion)
        return {
            "loss": loss / weight if weight else 0.0,
            "mean_iou": float(np.nan_to_num(scores.mean_iou(counts))),
            "pixel_accuracy": float(np.nan_to_num(scores.pixel_accuracy(counts))),
            "mean_accuracy": float(np.nan_to_num(scores.mean_accuracy(counts))),
        }

    def _weights_on(self, device: torch.device) -> Tensor | None:
        return None if self._class_weights is None else self._class_weights.to(device)
