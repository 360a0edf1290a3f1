"""SSDLite: each anchor names one class or the background; layers as thin as a mobile network's, of each map its own."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.ssdlite import SSDLiteHead

from convolve.data.boxes.targets import CLASS
from convolve.networks.detection.box_coding import decode, encode
from convolve.networks.detection.matching import match
from convolve.networks.detection.one_stage import OneStageHead, per_reference
from convolve.networks.layers.bilinear_upsampling import Lattice

_DEVIATIONS = (0.1, 0.1, 0.2, 0.2)
_NEGATIVES = 3
"""For each positive anchor, so many of the negatives count: those that the network is most wrong about."""


class SSDLiteLayers(OneStageHead):
    """For each map, a depthwise 3 x 3 and a 1 x 1 convolution for the classes, and two such for the boxes.

    Args:
        width: channels of the maps.
        classes: K.
        lattices, bases: see `OneStageHead`.

    Source: Liu et al., ECCV 2016, 2.2 for the loss; Sandler et al., CVPR 2018, 6.2 for the layers.
    """

    def __init__(self, *, width: int, classes: int, lattices: Sequence[Lattice], bases: Sequence[Tensor]) -> None:
        super().__init__(lattices, bases, reach=lattices[-1].stride)
        self.classes = classes
        # Of each map its own statistics, and as in torchvision's slower than PyTorch's.
        normalisation = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
        self.layers = SSDLiteHead(
            [width] * len(bases), [len(base) for base in bases], classes + 1, norm_layer=normalisation
        )

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """D = K + 1 logits, background first, and 4 box offsets."""
        classes = self.layers.classification_head.module_list
        boxes = self.layers.regression_head.module_list
        return tuple(
            per_reference(classify(level), regress(level), references=len(base))
            for classify, regress, level, base in zip(classes, boxes, maps, self.bases, strict=True)
        )

    def losses(self, rows: Tensor, references: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Cross-entropy and smooth L1, both by the number of positive anchors, at least 1.

        Other than in the paper, an image without objects counts, with as many negatives as one with one positive.
        """
        matched = match(references, targets, positive=0.5, negative=(0.0, 0.5), best_of_each=True)
        positive = matched.positive.nonzero()[:, 0]
        negative = matched.negative.nonzero()[:, 0]
        objects = targets[matched.objects[positive]]
        count = max(1, len(positive))
        logits, offsets = rows[:, : self.classes + 1], rows[:, self.classes + 1 :]
        found = F.cross_entropy(logits[positive], objects[:, CLASS].long() + 1, reduction="sum")
        false = F.cross_entropy(logits[negative], torch.zeros_like(negative), reduction="none")
        hardest = false.topk(min(len(negative), _NEGATIVES * count)).values.sum()
        wanted = encode(objects[:, :4], references[positive], deviations=_DEVIATIONS)
        return {
            "classes": (found + hardest) / count,
            "boxes": F.smooth_l1_loss(offsets[positive], wanted, reduction="sum") / count,
        }

    def probabilities(self, rows: Tensor) -> Tensor:
        """Of all classes together with the background, which is left out."""
        return rows[:, : self.classes + 1].softmax(dim=1)[:, 1:]

    def boxes(self, rows: Tensor, references: Tensor) -> Tensor:
        """From the offsets."""
        return decode(rows[:, self.classes + 1 :], references, deviations=_DEVIATIONS)
