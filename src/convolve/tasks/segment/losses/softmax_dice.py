from torch import Tensor

from convolve.tasks.segment.losses import PIXEL_LOSSES, PixelLoss
from convolve.tasks.segment.losses.dice import dice_loss
from convolve.tasks.segment.losses.softmax import softmax_loss


def softmax_dice_loss(
    logits: Tensor, targets: Tensor, *, class_weights: Tensor | None, label_smoothing: float
) -> Tensor:
    """The sum of both: likelihood pixel by pixel, and overlap class by class; as `MapLosses`.

    Weights and smoothing are those of the first term.

    Source: Isensee et al., "nnU-Net", Nature Methods 18, 2021, online methods.
    """
    likelihood = softmax_loss(logits, targets, class_weights=class_weights, label_smoothing=label_smoothing)
    return likelihood + dice_loss(logits, targets, class_weights=None, label_smoothing=0.0)


PIXEL_LOSSES.add("softmax+dice", PixelLoss(softmax_dice_loss, weighs_classes=True, smooths_labels=True))
