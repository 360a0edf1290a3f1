"""Of boxes that show the same object, the most probable one."""

import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

from convolve.networks.detection.detector import Found, Limits

_SIGMA = 0.5
"""Of the Gaussian (Bodla et al., ICCV 2017, 3)."""


def suppress(boxes: Tensor, labels: Tensor, probabilities: Tensor, limits: Limits) -> Found:
    """The boxes of one image that are left, class by class, most probable first.

    Args:
        boxes: (M, 4).
        labels: (M,) int64; boxes of different labels never touch each other.
        probabilities: (M,).
        limits: which stay.
    """
    kept = (probabilities >= limits.min_probability).nonzero()[:, 0]
    boxes, labels, probabilities = boxes[kept], labels[kept], probabilities[kept]
    if limits.soft_nms == "none":
        # It moves each class far away from the others; in single precision, places would then be rounded.
        kept = batched_nms(boxes.double(), probabilities.double(), labels, limits.nms_iou)
        kept = kept[: limits.max_boxes]
        return Found(boxes[kept], labels[kept], probabilities[kept])
    probabilities = _weakened(boxes, labels, probabilities, limits)
    order = probabilities.argsort(descending=True, stable=True)[: limits.max_boxes]
    order = order[probabilities[order] >= max(limits.min_probability, 1e-12)]
    return Found(boxes[order], labels[order], probabilities[order])


def _weakened(boxes: Tensor, labels: Tensor, probabilities: Tensor, limits: Limits) -> Tensor:
    """(M,) probabilities after soft suppression: each box, most probable first, weakens those that are left."""
    final = torch.zeros_like(probabilities)
    left = probabilities.clone()
    weights = _weights(box_iou(boxes, boxes), limits)
    weights = torch.where(labels[:, None] == labels, weights, torch.ones_like(weights))
    for _ in range(min(len(boxes), limits.max_boxes)):
        best = int(left.argmax())
        if left[best] < limits.min_probability:
            break
        final[best] = left[best]
        left = left * weights[best]
        left[best] = -1
    return final


def _weights(overlaps: Tensor, limits: Limits) -> Tensor:
    if limits.soft_nms == "gaussian":
        return (-overlaps.square() / _SIGMA).exp()
    return torch.where(overlaps > limits.nms_iou, 1 - overlaps, torch.ones_like(overlaps))
