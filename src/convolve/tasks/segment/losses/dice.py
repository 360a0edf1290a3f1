import torch
from torch import Tensor

from convolve.data.dataset import IGNORE
from convolve.tasks.segment.losses import PIXEL_LOSSES, PixelLoss

# Keeps a class of a few pixels from a loss that jumps between 0 and 1.
_SMOOTHING = 1.0


def dice_loss(logits: Tensor, targets: Tensor, *, class_weights: Tensor | None, label_smoothing: float) -> Tensor:
    """1 - (2 |P.T| + 1) / (|P| + |T| + 1), over the batch, mean over the classes that its masks show; as `MapLosses`.

    P are probabilities, T is 1 on a class's pixels. Every class counts alike whatever its size, so class weights and
    label smoothing have no part. All images get the same loss, since classes are summed over the whole batch.

    Source: Milletari, Navab and Ahmadi, "V-Net", 3DV 2016, section 3, with P and T in place of their squares.
    """
    probabilities = logits.softmax(dim=1) * (targets != IGNORE)[:, None]
    # Compared, since one_hot takes 8 bytes for each pixel and class; `IGNORE` is no class.
    truth = targets[:, None] == torch.arange(logits.shape[1], device=targets.device)[:, None, None]
    pixels = truth.sum(dim=(0, 2, 3))
    overlap = (probabilities * truth).sum(dim=(0, 2, 3))
    sizes = probabilities.sum(dim=(0, 2, 3)) + pixels
    losses = 1 - (2 * overlap + _SMOOTHING) / (sizes + _SMOOTHING)
    shown = (pixels > 0).to(losses.dtype)
    return ((losses * shown).sum() / shown.sum().clamp(min=1)).expand(len(logits))


PIXEL_LOSSES.add("dice", PixelLoss(dice_loss, weighs_classes=False, smooths_labels=False))
