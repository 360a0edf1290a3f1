"""What every detector is here: images of any size in, boxes with classes and probabilities out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from convolve.networks.feature_pyramid import FeaturePyramid

RunRegions = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Which boxes are given back.

    Attributes:
        nms_iou: of two boxes of a class that overlap more, the less probable one is dropped.
        soft_nms: "linear" or "gaussian": it loses probability instead (Bodla et al., ICCV 2017).
        min_probability: less probable boxes are dropped.
        max_boxes: of an image; the most probable ones.
    """

    nms_iou: float = 0.5
    soft_nms: Literal["none", "linear", "gaussian"] = "none"
    min_probability: float = 0.01
    max_boxes: int = 100


class Seen(NamedTuple):
    """What a detector makes of a batch before it looks at boxes; all else goes on from here.

    Attributes:
        maps: what `Detector.dense` gave.
        image_hw: height and width of the batch's images, their padding included, pixels.
        hw: (N, 2) int64 height and width of each image's content, which begins at the top left.
        regions: (N, R, 4) float32 left, top, right, bottom of given proposals; rows without area only fill up. None
            where the detector makes its own.
    """

    maps: tuple[Tensor, ...]
    image_hw: tuple[int, int]
    hw: Tensor
    regions: Tensor | None


class Found(NamedTuple):
    """The boxes of one image, most probable first.

    Attributes:
        boxes: (M, 4) float32 left, top, right, bottom, pixels of the input, within the image's content.
        labels: (M,) int64 class indices, background not counted.
        probabilities: (M,) float32, descending.
    """

    boxes: Tensor
    labels: Tensor
    probabilities: Tensor


class Detector(nn.Module):
    """Images to boxes, in steps, so that each can be timed, and the costly ones run by a faster engine.

    Attributes:
        classes: K, without the background.
        takes_regions: whether proposals must be given.
        dense: the work on whole images: (N, C, H, W) normalised -> a tuple of maps (N, D, h, w); plain layers only, no
            branches that depend on values, so that it can be exported.
        region_head: the work on each region: (R, D, s, s) -> (R, K + 1 + 4 K) logits, background first, and box offsets
            class by class; likewise exportable. None where there are no regions.
        limits: which boxes are given back; may be set at any time.
        reach: maps depend on no pixel farther away than this; None = no bound is known.
        stride: maps treat the image alike from so many pixels to the next so many.
        smallest_side: images must have at least this side, pixels.
        encoder_stages: the layers that pre-trained weights are for, from the image upwards; they share none.
    """

    classes: int
    takes_regions: bool = False
    dense: nn.Module
    region_head: nn.Module | None
    limits: Limits
    reach: int | None = None
    stride: int = 1
    smallest_side: int = 1
    encoder_stages: tuple[nn.Module, ...] = ()

    def forward(self, images: Tensor, hw: Tensor, regions: Tensor | None = None) -> Any:
        """In training mode a function from targets to losses; in test mode detections as (N, D, 6) rows.

        Args:
            images: (N, C, H, W) normalised, padded to the right and below; or what `pyramid.lower` made of them, where
                the pyramid is entered above its first level.
            hw: (N, 2) int64, see `Seen`.
            regions: see `Seen`.

        Returns:
            `losses` of what was seen; or (N, `limits.max_boxes`, 6) float32: left, top, right, bottom, class index,
            probability; rows of zeros fill up.
        """
        pyramid = self.pyramid
        stride = pyramid.strides[pyramid.entry - 1] if pyramid is not None and pyramid.entry else 1
        image_hw = (images.shape[2] * stride, images.shape[3] * stride)
        seen = Seen(self.dense(images), image_hw, hw, regions)
        if self.training:
            return partial(self.losses, seen)
        return stacked(self.detect(seen), self.limits.max_boxes)

    @property
    def pyramid(self) -> FeaturePyramid | None:
        """The backbone in `dense`, whose levels are the encoder's stages; None if it is not in there."""
        return next((part for part in self.dense.modules() if isinstance(part, FeaturePyramid)), None)

    @property
    def trained(self) -> nn.Module:
        """What a training loop trains: all of it."""
        return self

    def losses(self, seen: Seen, targets: Tensor) -> dict[str, Tensor]:
        """Each part of the loss for each image, (N,) float32, from (N, M, 6) targets (`data.boxes.targets`).

        What is sampled is drawn from torch's global generator. Difficult objects and crowds are neither found nor
        background: regions and anchors of which they cover half or more do not count.
        """
        raise NotImplementedError

    def propose(self, seen: Seen) -> list[Tensor]:
        """The regions of each image that are looked at, (R, 4) float32, best first; if there are none, all boxes."""
        raise NotImplementedError

    def detect(self, seen: Seen, *, run_regions: RunRegions | None = None) -> list[Found]:
        """The boxes of each image.

        Args:
            seen: maps and sizes.
            run_regions: runs `region_head` instead of torch.
        """
        raise NotImplementedError


def stacked(found: Sequence[Found], rows: int) -> Tensor:
    """(N, rows, 6) float32: left, top, right, bottom, class index, probability; rows of zeros fill up."""
    tensor = found[0].boxes.new_zeros(len(found), rows, 6)
    for place, (boxes, labels, probabilities) in enumerate(found):
        some = torch.cat((boxes, labels[:, None].to(boxes), probabilities[:, None].to(boxes)), dim=1)
        tensor[place, : len(some)] = some[:rows]
    return tensor
