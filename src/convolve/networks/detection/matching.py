"""Which reference box is responsible for which object."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou

from convolve.data.boxes.targets import KIND, OBJECT, present

_COVERED = 0.5


class Matched(NamedTuple):
    """What each of M reference boxes is for.

    Attributes:
        objects: (M,) int64 the row, in the image's targets, of the object that overlaps it most; 0 if there is none.
        positive: (M,) bool: it stands for that object.
        negative: (M,) bool: it stands for the background. What is neither does not count.
    """

    objects: Tensor
    positive: Tensor
    negative: Tensor


def match(
    references: Tensor, targets: Tensor, *, positive: float, negative: tuple[float, float], best_of_each: bool = False
) -> Matched:
    """Match the reference boxes of one image by their largest intersection over union with an object.

    Args:
        references: (M, 4).
        targets: (m, 6) rows of the image; those that only fill up may be among them.
        positive: from this IoU on, a reference stands for the object.
        negative: from the first to below the second, it stands for background.
        best_of_each: for each object, the references that overlap it most are positive as well, however little
            (Ren et al., NIPS 2015, 3.1.2), and stand for it.
    """
    there = targets[:, KIND] == OBJECT
    rows = there.nonzero()[:, 0]
    negatives_from, negatives_below = negative
    if len(rows) == 0:
        objects = torch.zeros(len(references), dtype=torch.int64, device=references.device)
        overlap = references.new_zeros(len(references))
        positives = torch.zeros_like(objects, dtype=torch.bool)
    else:
        overlaps = box_iou(references, targets[rows, :4])
        overlap, nearest = overlaps.max(dim=1)
        positives = overlap >= positive
        if best_of_each:
            best = overlaps.amax(dim=0)
            chosen = (overlaps == best) & (best > 0)
            forced = chosen.any(dim=1)
            # Of several objects that it is best for, the one that overlaps it most.
            nearest = torch.where(forced, torch.where(chosen, overlaps, -1).argmax(dim=1), nearest)
            positives = positives | forced
        objects = rows[nearest]
    negatives = (overlap >= negatives_from) & (overlap < negatives_below) & ~positives
    return Matched(objects, positives, negatives & ~covered(references, present(targets)))


def covered(references: Tensor, targets: Tensor) -> Tensor:
    """(M,) whether one of the difficult objects or crowds among targets (m, 6) covers half of a reference or more."""
    ignored = targets[targets[:, KIND] != OBJECT][:, :4]
    if len(ignored) == 0:
        return torch.zeros(len(references), dtype=torch.bool, device=references.device)
    low = torch.maximum(references[:, None, :2], ignored[None, :, :2])
    high = torch.minimum(references[:, None, 2:], ignored[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2).amax(dim=1)
    areas: Tensor = box_area(references)
    return shared >= _COVERED * areas.clamp(min=1e-6)
