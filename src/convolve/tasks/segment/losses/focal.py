from torch import Tensor
from torch.nn import functional as F

from convolve.data.dataset import IGNORE
from convolve.tasks.segment.losses import PIXEL_LOSSES, PixelLoss, mean_over_pixels

_GAMMA = 2.0


def focal_loss(logits: Tensor, targets: Tensor, *, class_weights: Tensor | None, label_smoothing: float) -> Tensor:
    """-(1 - p)^2 ln p of every pixel's class, so that pixels that are right anyway hardly count; as `MapLosses`.

    Labels are never smoothed: the first factor would undo it.

    Source: Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", ICCV 2017, section 3.2, with a
    softmax in the place of its sigmoid.
    """
    nll = F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="none")
    values = (1 - (-nll).exp()) ** _GAMMA * nll
    if class_weights is not None:
        values = values * class_weights[targets.masked_fill(targets == IGNORE, 0)]
    return mean_over_pixels(values, targets, class_weights)


PIXEL_LOSSES.add("focal", PixelLoss(focal_loss, weighs_classes=True, smooths_labels=False))
