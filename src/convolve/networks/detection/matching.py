"""Which reference box is responsible for which object."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_area

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
        overlaps = _overlaps(targets[rows, :4], references)
        overlap, nearest = overlaps.max(dim=0)
        positives = overlap >= positive
        if best_of_each:
            best = overlaps.amax(dim=1, keepdim=True)
            chosen = (overlaps == best) & (best > 0)
            forced = chosen.any(dim=0)
            # Of several objects that it is best for, the one that overlaps it most.
            nearest[forced] = torch.where(chosen[:, forced], overlaps[:, forced], -1).argmax(dim=0)
            positives = positives | forced
        objects = rows[nearest]
    negatives = (overlap >= negatives_from) & (overlap < negatives_below) & ~positives
    return Matched(objects, positives, negatives & ~covered(references, present(targets)))


def covered(references: Tensor, targets: Tensor) -> Tensor:
    """(M,) whether one of the difficult objects or crowds among targets (m, 6) covers half of a reference or more."""
    ignored = targets[targets[:, KIND] != OBJECT][:, :4]
    if len(ignored) == 0:
        return torch.zeros(len(references), dtype=torch.bool, device=references.device)
    shared = _shared(ignored, references).amax(dim=0)
    areas: Tensor = box_area(references)
    return shared >= _COVERED * areas.clamp(min=1e-6)


def _overlaps(objects: Tensor, references: Tensor) -> Tensor:
    """(m, M) intersections over unions of a few objects (m, 4) with many reference boxes (M, 4)."""
    shared = _shared(objects, references)
    united: Tensor = box_area(objects)[:, None] + box_area(references) - shared
    return shared / united


def _shared(objects: Tensor, references: Tensor) -> Tensor:
    """(m, M) the areas that they share: coordinate by coordinate, so that all loops are long and their values close."""
    left, top, right, bottom = references.T.contiguous()
    widths = torch.minimum(objects[:, 2:3], right) - torch.maximum(objects[:, :1], left)
    heights = torch.minimum(objects[:, 3:], bottom) - torch.maximum(objects[:, 1:2], top)
    return widths.clamp_(min=0).mul_(heights.clamp_(min=0))
