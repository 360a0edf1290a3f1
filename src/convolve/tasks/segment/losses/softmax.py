from torch import Tensor
from torch.nn import functional as F

from convolve.data.dataset import IGNORE
from convolve.tasks.segment.losses import PIXEL_LOSSES, PixelLoss, mean_over_pixels


def softmax_loss(logits: Tensor, targets: Tensor, *, class_weights: Tensor | None, label_smoothing: float) -> Tensor:
    """The negative log-likelihood of every pixel's class; arguments and result as `MapLosses` has them.

    Source: Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015,
    section 4.3.
    """
    values = F.cross_entropy(
        logits,
        targets,
        weight=class_weights,
        ignore_index=IGNORE,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return mean_over_pixels(values, targets, class_weights)


PIXEL_LOSSES.add("softmax", PixelLoss(softmax_loss, weighs_classes=True, smooths_labels=True))
