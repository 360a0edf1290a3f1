"""RetinaNet: each anchor says, for each class apart, whether it is there; what is easy hardly counts."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import sigmoid_focal_loss

from convolve.data.boxes.targets import CLASS
from convolve.networks.detection.box_coding import decode, encode
from convolve.networks.detection.matching import match
from convolve.networks.detection.one_stage import OneStageHead, per_reference
from convolve.networks.initialisation import he_initialise
from convolve.networks.layers.bilinear_upsampling import Lattice

_DEVIATIONS = (1.0, 1.0, 1.0, 1.0)
_SQUARE_BELOW = 1 / 9


class RetinaNetLayers(OneStageHead):
    """Two towers of 3 x 3 convolutions, shared by all maps, without normalisation.

    Batches of few images are no statistics, and statistics of a map would make every box depend on the whole image and
    on its padding: tiles would then give other boxes than the whole. So the towers begin with He's variance instead.

    Args:
        width: channels of the maps.
        depth: convolutions of a tower before its last one, at most 4.
        classes: K.
        lattices, bases: see `OneStageHead`; A is the same for all maps.

    Source: Lin et al., ICCV 2017: 3 for the loss (alpha = .25, gamma = 2), 4 for the rest.
    """

    def __init__(
        self, *, width: int, depth: int, classes: int, lattices: Sequence[Lattice], bases: Sequence[Tensor]
    ) -> None:
        super().__init__(lattices, bases, reach=(depth + 1) * lattices[-1].stride)
        self.classes = classes
        self.layers = RetinaNetHead(width, len(bases[0]), classes)
        for tower in (self.layers.classification_head, self.layers.regression_head):
            tower.conv = tower.conv[:depth]
            he_initialise(tower.conv)

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """D = K logits, 4 box offsets."""
        classes, boxes = self.layers.classification_head, self.layers.regression_head
        anchors = len(self.bases[0])
        return tuple(
            per_reference(
                classes.cls_logits(classes.conv(level)), boxes.bbox_reg(boxes.conv(level)), references=anchors
            )
            for level in maps
        )

    def losses(self, rows: Tensor, references: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Focal loss and smooth L1 (quadratic below 1/9), both by the number of positive anchors, at least 1."""
        matched = match(references, targets, positive=0.5, negative=(0.0, 0.4), best_of_each=True)
        positive = matched.positive.nonzero()[:, 0]
        negative = matched.negative.nonzero()[:, 0]
        objects = targets[matched.objects[positive]]
        count = max(1, len(positive))
        return {
            "classes": focal_loss(rows[:, : self.classes], positive, negative, objects[:, CLASS].long()) / count,
            "boxes": F.smooth_l1_loss(
                rows[positive, self.classes :],
                encode(objects[:, :4], references[positive], deviations=_DEVIATIONS),
                beta=_SQUARE_BELOW,
                reduction="sum",
            )
            / count,
        }

    def probabilities(self, rows: Tensor) -> Tensor:
        """Each class apart."""
        return rows[:, : self.classes].sigmoid()

    def boxes(self, rows: Tensor, references: Tensor) -> Tensor:
        """From the offsets."""
        return decode(rows[:, self.classes :], references, deviations=_DEVIATIONS)


def focal_loss(logits: Tensor, positive: Tensor, negative: Tensor, labels: Tensor) -> Tensor:
    """The sum over classes and over the references that are one or the other.

    Args:
        logits: (M, K).
        positive: int64 indices of references.
        negative: of those that are nothing.
        labels: of the positive ones.
    """
    wanted = torch.zeros_like(logits)
    wanted[positive, labels] = 1
    counted = torch.cat((positive, negative))
    loss: Tensor = sigmoid_focal_loss(logits[counted], wanted[counted], alpha=0.25, gamma=2, reduction="sum")
    return loss
