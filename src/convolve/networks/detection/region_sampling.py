"""Which regions a training step looks at, and what should be said of them."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from convolve.data.boxes.targets import CLASS, KIND, OBJECT
from convolve.networks.detection.box_coding import encode
from convolve.networks.detection.matching import match
from convolve.networks.detection.region_proposals import whole
from convolve.networks.detection.sampling import sample

BOX_DEVIATIONS = (0.1, 0.1, 0.2, 0.2)
"""By which a region's offsets are divided (the constants of the papers' code)."""

BACKGROUND, IGNORED = 0, -100
"""Labels of regions; class k is k + 1."""


class RegionTargets(NamedTuple):
    """Of the sampled regions of an image.

    Attributes:
        regions: (R, 4), R >= 1.
        labels: (R,) int64: 0 = background, k + 1 = class k, -100 = does not count.
        offsets: (R, 4) of their objects, divided by `BOX_DEVIATIONS`; zeros where there is none.
    """

    regions: Tensor
    labels: Tensor
    offsets: Tensor


@dataclass(frozen=True, kw_only=True)
class RegionSampling:
    """How regions are drawn from the proposals and the objects themselves.

    Attributes:
        count: regions of an image.
        positive_share: at most so many of them show an object.
        positive_iou: from this overlap on, a region shows the object.
        background_iou: regions of less overlap than with that, but of this or more, are drawn as background first:
            those that show a part are the hard ones (Girshick, ICCV 2015, 2.3). The others only fill up.
    """

    count: int = 128
    positive_share: float = 0.25
    positive_iou: float = 0.5
    background_iou: float = 0.0

    def draw(self, proposals: Tensor, targets: Tensor, hw: Tensor) -> RegionTargets:
        """Regions of one image, from torch's global generator.

        Args:
            proposals: (R, 4).
            targets: (M, 6) of the image.
            hw: (2,) of its content.
        """
        objects = targets[targets[:, KIND] == OBJECT, :4]
        regions = torch.cat((proposals, objects.to(proposals)))
        every = match(regions, targets.to(regions), positive=self.positive_iou, negative=(0.0, self.positive_iou))
        hard = every
        if self.background_iou:
            background = (self.background_iou, self.positive_iou)
            hard = match(regions, targets.to(regions), positive=self.positive_iou, negative=background)
        positives, negatives = sample(hard, count=self.count, positive_share=self.positive_share)
        missing = self.count - len(positives) - len(negatives)
        if missing and self.background_iou:
            easy = every._replace(positive=torch.zeros_like(every.positive), negative=every.negative & ~hard.negative)
            negatives = torch.cat((negatives, sample(easy, count=missing, positive_share=0.0)[1]))
        if len(positives) + len(negatives) == 0:
            return _nothing(whole(hw, proposals))
        truth = targets[every.objects[positives]].to(regions)
        rows = torch.cat((positives, negatives))
        labels = torch.full_like(rows, BACKGROUND)
        labels[: len(positives)] = truth[:, CLASS].long() + 1
        offsets = regions.new_zeros(len(rows), 4)
        offsets[: len(positives)] = encode(truth[:, :4], regions[positives], deviations=BOX_DEVIATIONS)
        return RegionTargets(regions[rows], labels, offsets)


def _nothing(region: Tensor) -> RegionTargets:
    """One region that does not count, so that the head always has something to look at."""
    labels = torch.full((1,), IGNORED, dtype=torch.int64, device=region.device)
    return RegionTargets(region, labels, torch.zeros_like(region))
