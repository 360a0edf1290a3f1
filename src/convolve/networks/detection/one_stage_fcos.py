"""FCOS: no anchors; each place near an object's centre says how far away its four edges are."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSRegressionHead
from torchvision.ops import generalized_box_iou_loss

from convolve.data.boxes.targets import CLASS, KIND, OBJECT
from convolve.networks.detection.matching import Matched, covered
from convolve.networks.detection.one_stage import OneStageHead
from convolve.networks.detection.one_stage_retinanet import focal_loss
from convolve.networks.initialisation import he_initialise
from convolve.networks.layers.bilinear_upsampling import Lattice

_RADIUS = 1.5
"""Strides from an object's centre, along each axis, within which places stand for it."""

_NEAREST, _FARTHEST = 4, 8
"""Strides from a place to the farthest edge of the objects that are its map's."""


class FCOSLayers(OneStageHead):
    """Two towers of 3 x 3 convolutions, shared by all maps; without normalisation, as `RetinaNetLayers`.

    References are squares of one stride around each place.

    Args:
        width: channels of the maps.
        depth: convolutions of a tower before its last one.
        classes: K.
        lattices: see `OneStageHead`.

    Source: Tian et al., ICCV 2019, with the centre sampling, GIoU loss and places of centre-ness of the authors' later
    version (TPAMI 2020), as torchvision has them.
    """

    def __init__(self, *, width: int, depth: int, classes: int, lattices: Sequence[Lattice]) -> None:
        squares = [torch.tensor([[-0.5, -0.5, 0.5, 0.5]]) * lattice.stride for lattice in lattices]
        super().__init__(lattices, squares, reach=(depth + 1) * lattices[-1].stride)
        self.classes = classes
        self.classifier = FCOSClassificationHead(width, 1, classes, depth, norm_layer=_unchanged)
        self.regressor = FCOSRegressionHead(width, 1, depth, norm_layer=_unchanged)
        for tower in (self.classifier.conv, self.regressor.conv):
            he_initialise(tower)
        # Distances are cut off at 0, where no gradient is: they begin with what is usual for a map.
        nn.init.constant_(self.regressor.bbox_reg.bias, _NEAREST)

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """D = K logits, 4 distances in strides before they are cut off at 0, logit of the centre-ness."""
        return tuple(self._outputs(level) for level in maps)

    def _outputs(self, level: Tensor) -> Tensor:
        logits = self.classifier.cls_logits(self.classifier.conv(level))
        placed = self.regressor.conv(level)
        return torch.cat((logits, self.regressor.bbox_reg(placed), self.regressor.bbox_ctrness(placed)), dim=1)

    def losses(self, rows: Tensor, references: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Focal loss, GIoU loss, cross-entropy of the centre-ness, all by the number of positive places, at least 1."""
        strides = self.lattices[0].stride, self.lattices[-1].stride
        matched = match_centres(references, targets, strides=strides)
        positive = matched.positive.nonzero()[:, 0]
        negative = matched.negative.nonzero()[:, 0]
        objects = targets[matched.objects[positive]]
        count = max(1, len(positive))
        predicted = self.boxes(rows[positive], references[positive])
        overlap: Tensor = generalized_box_iou_loss(predicted, objects[:, :4], reduction="sum")
        centred = F.binary_cross_entropy_with_logits(
            rows[positive, -1], centre_ness(references[positive], objects[:, :4]), reduction="sum"
        )
        return {
            "classes": focal_loss(rows[:, : self.classes], positive, negative, objects[:, CLASS].long()) / count,
            "boxes": overlap / count,
            "centres": centred / count,
        }

    def probabilities(self, rows: Tensor) -> Tensor:
        """The geometric mean of a class's probability and the centre-ness: what is off centre has poor boxes."""
        return (rows[:, : self.classes].sigmoid() * rows[:, -1:].sigmoid()).sqrt()

    def boxes(self, rows: Tensor, references: Tensor) -> Tensor:
        """From the distances."""
        distances = rows[:, self.classes : self.classes + 4].relu()
        centres, sides = (references[:, :2] + references[:, 2:]) / 2, references[:, 2:] - references[:, :2]
        return torch.cat((centres - distances[:, :2] * sides, centres + distances[:, 2:] * sides), dim=1)


def _unchanged(_: int) -> nn.Module:
    return nn.Identity()


def centre_ness(references: Tensor, boxes: Tensor) -> Tensor:
    """(M,) in [0, 1]: 1 in the middle of the boxes (M, 4), 0 at their edges (Tian et al., equation 3)."""
    near, far = _edges(references, boxes)
    return (torch.minimum(near, far) / torch.maximum(near, far)).clamp(min=0).prod(dim=-1).sqrt()


def match_centres(references: Tensor, targets: Tensor, *, strides: tuple[int, int]) -> Matched:
    """Match the places of one image with the objects in whose middle they are, of several the smallest.

    Args:
        references: (M, 4) squares of one stride around each place.
        targets: (m, 6) rows of the image.
        strides: of the finest map, which has all the small objects, and of the coarsest, which has all the large ones.
    """
    rows = (targets[:, KIND] == OBJECT).nonzero()[:, 0]
    ignored = covered(references, targets)
    if len(rows) == 0:
        nothing = torch.zeros(len(references), dtype=torch.bool, device=references.device)
        return Matched(nothing.long(), nothing, ~ignored)
    boxes = targets[rows, :4]
    sides = references[:, None, 2] - references[:, None, 0]
    near, far = _edges(references[:, None], boxes[None])
    to_centre = (far - near).abs().amax(dim=2) / 2
    farthest = torch.maximum(near, far).amax(dim=2)
    least = torch.where(sides == strides[0], 0, _NEAREST * sides)
    most = torch.where(sides == strides[1], torch.inf, _FARTHEST * sides)
    fits = (torch.minimum(near, far).amin(dim=2) > 0) & (to_centre < _RADIUS * sides)
    fits &= (farthest > least) & (farthest <= most)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    smallest = torch.where(fits, areas, torch.inf).argmin(dim=1)
    positive = fits.any(dim=1)
    return Matched(rows[smallest], positive, ~positive & ~ignored)


def _edges(references: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 2) pixels from the middles of references to the left and top, and to the right and bottom of boxes."""
    centres = (references[..., :2] + references[..., 2:]) / 2
    return centres - boxes[..., :2], boxes[..., 2:] - centres
