"""Where the regions that are looked at come from: from outside, or from a network on the shared maps."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import nms

from convolve.networks.detection.anchors import (
    AnchorShapes,
    base_anchors,
    centred_within,
    place_anchors,
    sizes_of_levels,
)
from convolve.networks.detection.box_coding import clip, decode, encode
from convolve.networks.detection.detector import Seen
from convolve.networks.detection.matching import match
from convolve.networks.detection.precision import in_full
from convolve.networks.detection.sampling import sample
from convolve.networks.layers.bilinear_upsampling import Lattice

_UNSCALED = (1.0, 1.0, 1.0, 1.0)
_POSITIVE_IOU, _NEGATIVE_IOU = 0.7, 0.3
_POSITIVE_SHARE = 0.5
_BETA = 1 / 9
"""Smooth L1 is quadratic below (sigma 3 of the paper's code)."""
_NMS_IOU = 0.7
_PER_LEVEL = 1000
"""Candidates of each map before suppression (torchvision, test; the paper has one map and 6,000)."""
_KEPT_IN_TRAINING = 1000
_LEAST_SIDE = 2.0
"""Pixels. The paper's 16 is meant for images enlarged to 600."""


class GivenRegions(nn.Module):
    """Regions made beforehand, for example by selective search."""

    def shared(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Those of the dense maps that regions are read from: all."""
        return maps

    def propose(self, seen: Seen) -> list[Tensor]:
        """The given regions of each image, (R, 4), as far as they are within it; the whole image where there are none.

        Raises:
            ValueError: no regions were given to the detector.
        """
        if seen.regions is None:
            raise ValueError("this detector takes regions, and none were given")
        found = []
        for regions, hw in zip(seen.regions, seen.hw, strict=True):
            boxes = clip(regions, hw)
            boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(dim=1)]
            found.append(boxes if len(boxes) else whole(hw, regions))
        return found

    def losses(self, seen: Seen, targets: Tensor) -> dict[str, Tensor]:
        """None: nothing is learned here."""
        return {}


class ProposalConvolutions(nn.Module):
    """Reads off each unit of the shared maps, for each of its anchors, whether an object is there, and where exactly.

    The first layer is shared by the maps of all resolutions. The outputs are not: each map has anchors of its own, and
    not always as many.

    Objectness is one logit an anchor; the paper has two and a softmax, which is the same function of their difference.

    Ren, He, Girshick and Sun, "Faster R-CNN", NIPS 2015, 3.1.

    Args:
        channels: D, of each of the shared maps.
        width: of the first layer.
        anchors: A_l of each map; maps of none are passed over.
    """

    def __init__(self, channels: int, *, width: int, anchors: Sequence[int]) -> None:
        super().__init__()
        self.levels = [level for level, count in enumerate(anchors) if count]
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.objectness = nn.ModuleList(nn.Conv2d(width, anchors[level], 1) for level in self.levels)
        self.offsets = nn.ModuleList(nn.Conv2d(width, 4 * anchors[level], 1) for level in self.levels)
        for layer in (self.first, *self.objectness, *self.offsets):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Maps (N, D, h, w) -> logits (N, A_l, h, w) and offsets (N, 4 A_l, h, w) of those that have anchors."""
        hidden = [F.relu(self.first(maps[level])) for level in self.levels]
        objectness = tuple(layer(level) for layer, level in zip(self.objectness, hidden, strict=True))
        return objectness, tuple(layer(level) for layer, level in zip(self.offsets, hidden, strict=True))


class RegionProposals(nn.Module):
    """The anchors that look most like objects, moved to where the objects are said to be.

    Anchors whose centre is outside of the image's content, on padding, neither train nor propose. Those that only cross
    its border do both, unlike in the paper: where objects are as large as the image, no large anchor would be left
    (torchvision keeps them too).

    Args:
        lattices: of the shared maps, finest first.
        anchors: shapes; each map has the sizes that `sizes_of_levels` gives it.
        kept: regions of an image in test mode (the paper's 300); 1000 in training.
        count: anchors of an image that a training step looks at, at most half of them positive (the paper's 256).

    Attributes:
        anchors_of_levels: A_l of each map.
    """

    def __init__(self, lattices: Sequence[Lattice], anchors: AnchorShapes, *, kept: int, count: int = 256) -> None:
        super().__init__()
        self.kept, self.count = kept, count
        sizes = sizes_of_levels(anchors.sizes, [lattice.stride for lattice in lattices])
        self.anchors_of_levels = [len(own) * len(anchors.ratios) for own in sizes]
        self.lattices = [lattice for lattice, own in zip(lattices, sizes, strict=True) if own]
        self.maps = len(lattices)
        for level, own in enumerate(filter(None, sizes)):
            self.register_buffer(f"anchors_{level}", base_anchors(own, anchors.ratios), persistent=False)

    def shared(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Those of the dense maps that regions are read from."""
        return maps[: self.maps]

    def propose(self, seen: Seen) -> list[Tensor]:
        """Regions of each image, (R, 4), most probable first; without gradient."""
        with torch.no_grad():
            return self._proposed(seen)

    def losses(self, seen: Seen, targets: Tensor) -> dict[str, Tensor]:
        """{"objectness", "proposal_boxes"}, (N,) each, by the number of anchors sampled."""
        outputs = self._outputs(seen.maps)
        logits = torch.cat([objectness for objectness, _ in outputs], dim=1)
        offsets = torch.cat([offsets for _, offsets in outputs], dim=1)
        anchors = torch.cat(self._anchors(seen.maps))
        parts = [
            self._losses_of_image(logits[row], offsets[row], anchors, seen.hw[row], targets[row])
            for row in range(len(targets))
        ]
        return {
            "objectness": torch.stack([objectness for objectness, _ in parts]),
            "proposal_boxes": torch.stack([boxes for _, boxes in parts]),
        }

    def _losses_of_image(
        self, logits: Tensor, offsets: Tensor, anchors: Tensor, hw: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        within = centred_within(anchors, hw).nonzero()[:, 0]
        negative = (0.0, _NEGATIVE_IOU)
        matched = match(anchors[within], targets, positive=_POSITIVE_IOU, negative=negative, best_of_each=True)
        positives, negatives = sample(matched, count=self.count, positive_share=_POSITIVE_SHARE)
        objects = targets[matched.objects[positives], :4]
        positives, negatives = within[positives], within[negatives]
        count = max(len(positives) + len(negatives), 1)
        chosen = logits[torch.cat((positives, negatives))]
        truth = (torch.arange(len(chosen), device=chosen.device) < len(positives)).to(chosen)
        objectness = F.binary_cross_entropy_with_logits(chosen, truth, reduction="sum") / count
        wanted = encode(objects, anchors[positives], deviations=_UNSCALED).to(offsets)
        boxes = F.smooth_l1_loss(offsets[positives], wanted, beta=_BETA, reduction="sum") / count
        return objectness, boxes

    def _proposed(self, seen: Seen) -> list[Tensor]:
        levels = zip(self._outputs(seen.maps), self._anchors(seen.maps), strict=True)
        scores, boxes = [], []
        for (logits, offsets), anchors in levels:
            within = centred_within(anchors, seen.hw[:, None])
            logits = logits.masked_fill(~within, -torch.inf)
            best, rows = logits.topk(min(_PER_LEVEL, logits.shape[1]), dim=1)
            own = offsets.gather(1, rows[..., None].expand(-1, -1, 4))
            scores.append(best)
            boxes.append(clip(decode(own, anchors[rows].to(own), deviations=_UNSCALED), seen.hw[:, None]))
        kept = _KEPT_IN_TRAINING if self.training else self.kept
        return [_best(score, box, kept) for score, box in zip(torch.cat(scores, 1), torch.cat(boxes, 1), strict=True)]

    def _outputs(self, maps: tuple[Tensor, ...]) -> list[tuple[Tensor, Tensor]]:
        """Logits (N, M) and offsets (N, M, 4) of each level that has anchors, in the order of `place_anchors`."""
        count = len(self.lattices)
        found = []
        for logits, offsets in zip(maps[self.maps : self.maps + count], maps[self.maps + count :], strict=True):
            images, _, height, width = logits.shape
            by_anchor = offsets.reshape(images, -1, 4, height, width).permute(0, 3, 4, 1, 2)
            pair = (logits.permute(0, 2, 3, 1).reshape(images, -1), by_anchor.reshape(images, -1, 4))
            found.append((in_full(pair[0]), in_full(pair[1])))
        return found

    def _anchors(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        levels = zip(maps[self.maps :], self.lattices, strict=False)
        return [
            place_anchors(self.get_buffer(f"anchors_{level}"), lattice, (logits.shape[2], logits.shape[3]))
            for level, (logits, lattice) in enumerate(levels)
        ]


def whole(hw: Tensor, like: Tensor) -> Tensor:
    """(1, 4) the region of an image's whole content, of the dtype and on the device of `like`."""
    return torch.stack((hw.new_zeros(()), hw.new_zeros(()), hw[1], hw[0]))[None].to(like)


def _best(scores: Tensor, boxes: Tensor, count: int) -> Tensor:
    sound = scores.isfinite() & (boxes[:, 2:] - boxes[:, :2] >= _LEAST_SIDE).all(dim=1)
    scores, order = scores[sound].sort(descending=True, stable=True)
    return _apart(boxes[sound][order], scores, count)


def _apart(boxes: Tensor, scores: Tensor, count: int) -> Tensor:
    """The first `count` of the sorted boxes that suppression leaves.

    What is left of the most probable boxes does not depend on less probable ones, and the time goes with the square of
    their number: where few are wanted of many, the others are looked at only if the best ones leave too few.
    """
    few = 2 * count if 4 * count <= len(boxes) else len(boxes)
    kept = nms(boxes[:few], scores[:few], _NMS_IOU)
    if len(kept) < count and few < len(boxes):
        kept = nms(boxes, scores, _NMS_IOU)
    return boxes[kept[:count]]
