"""What a detector says of one box, as logits of classes, whatever its kind."""

from typing import final

import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from convolve.errors import UserError
from convolve.networks.detection.box_coding import decode
from convolve.networks.detection.detector import Detector, Seen
from convolve.networks.detection.one_stage import OneStageDetector
from convolve.networks.detection.region_sampling import BOX_DEVIATIONS
from convolve.networks.detection.shared_maps import SharedMaps
from convolve.networks.detection.two_stage import TwoStageDetector
from convolve.networks.detectors.rcnn import WarpedRegions

_SMALLEST_PROBABILITY = 1e-6
# A head moves a proposal's edges; so much of the two overlaps all the same. The nearest are asked, for R-CNN's sake.
_NEAR_IOU = 0.3
_MOST_PROPOSALS = 64


@final
class RegionAnswers(nn.Module):
    """What a two-stage detector says of one region of an image: its own head's scores, background first.

    Args:
        network: whose regions go through a head.
        region: (4,) left, top, right, bottom, pixels of the input.
    """

    region: Tensor

    def __init__(self, network: TwoStageDetector, region: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("region", region)

    def forward(self, images: Tensor) -> Tensor:
        """(N, K + 1) logits; of support vector machines (N, K) margins."""
        seen = _seen(self.network, images)
        said = self.network.say(seen, [self.region[None]] * len(images), self.network.region_head)
        return _class_outputs(self.network, said)


@final
class CropAnswers(nn.Module):
    """What R-CNN says of a region that is cut out and brought to one size: its image is the crop.

    Args:
        network: whose regions each go through the whole backbone.
    """

    def __init__(self, network: TwoStageDetector) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        """(N, K + 1) logits of normalised crops (N, C, s, s); of support vector machines (N, K) margins."""
        return _class_outputs(self.network, self.network.region_head(crops))


@final
class ReferenceAnswers(nn.Module):
    """What a one-stage detector says at the one place, among all, that found a box.

    Args:
        network: without regions.
        reference: its number among the references of all maps.
    """

    def __init__(self, network: OneStageDetector, reference: int) -> None:
        super().__init__()
        self.network = network
        self.reference = reference

    def forward(self, images: Tensor) -> Tensor:
        """(N, K) logits of the classes' probabilities."""
        head = self.network.head
        rows = torch.cat([head.rows(level) for level in self.network.dense(images)], dim=1)[:, self.reference]
        return head.probabilities(rows).clamp(_SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY).logit()


def answers_about(network: Detector, image: Tensor, region: Tensor, label: int) -> nn.Module:
    """What is said of the region: by the head for regions, or at the place whose box comes nearest to it."""
    if isinstance(network, TwoStageDetector):
        return CropAnswers(network) if cuts_out(network) else RegionAnswers(network, region)
    if not isinstance(network, OneStageDetector):
        raise UserError("this kind of detector cannot be explained", "Give a two-stage or one-stage detector's run.")
    with torch.inference_mode():
        maps = network.eval().dense(image)
        rows = torch.cat([network.head.rows(level)[0] for level in maps])
        references = torch.cat(network.head.references(maps))
        overlaps = box_iou(region[None], network.head.boxes(rows, references))[0]
        # Of places whose boxes are as near, the one that was surest is the one that was kept.
        best = overlaps.clamp(min=0) * network.head.probabilities(rows)[:, label]
    return ReferenceAnswers(network, int(best.argmax()))


def proposal_of(
    network: TwoStageDetector, image: Tensor, hw: tuple[int, int], box: Tensor, label: int, given: Tensor | None
) -> Tensor:
    """(4,) the region that became a box: what the network said of it is what it says of the box.

    Args:
        network: in test mode.
        image: (1, C, H, W) normalised, padded.
        hw: height and width of its content.
        box: (4,) left, top, right, bottom, pixels of the input.
        label: its class, background not counted.
        given: (R, 4) the proposals, for a network that takes them; None = unknown, and the box itself stands in.
    """
    if network.takes_regions and given is None:
        return box
    with torch.inference_mode():
        regions = None if given is None else given[None].to(image.device)
        seen = Seen(network.dense(image), (image.shape[2], image.shape[3]), torch.tensor([hw]), regions)
        proposals = network.propose(seen)[0]
        nearness, order = box_iou(box[None].to(proposals), proposals)[0].sort(descending=True, stable=True)
        near = proposals[order[nearness >= _NEAR_IOU][:_MOST_PROPOSALS]]
        if len(near) == 0:
            return box
        said = network.say(seen, [near], network.region_head)
        offsets = said[:, network.classes + 1 :].reshape(len(near), network.classes, 4)[:, label]
        overlaps = box_iou(box[None].to(near), decode(offsets, near, deviations=BOX_DEVIATIONS))[0]
        # Of proposals that became much the same box, the surest one is the one that was kept.
        best = near[(overlaps * network.probabilities(said)[:, label]).argmax()]
    return best.clone().cpu()


def _class_outputs(network: TwoStageDetector, said: Tensor) -> Tensor:
    """(R, K + 1) or (R, K) of a region head's outputs (R, K + 1 + 4 K): those that tell classes apart."""
    first = 1 if network.classifier_scores == "svm" else 0
    return said[:, first : network.classes + 1]


def layers_over_image(network: Detector) -> nn.Module:
    """The layers whose maps lie over the image that is asked about: not those of the regions, nor of proposals."""
    if cuts_out(network):
        assert network.region_head is not None  # noqa: S101
        return network.region_head
    return next((part for part in network.dense.modules() if isinstance(part, SharedMaps)), network.dense)


def cuts_out(network: Detector) -> bool:
    """Whether each region goes through the whole network by itself, so that its crop is the image to ask about."""
    return isinstance(network, TwoStageDetector) and isinstance(network.features, WarpedRegions)


def _seen(network: Detector, images: Tensor) -> Seen:
    hw = torch.tensor([[images.shape[2], images.shape[3]]], device=images.device).expand(len(images), 2)
    return Seen(network.dense(images), (images.shape[2], images.shape[3]), hw, None)
