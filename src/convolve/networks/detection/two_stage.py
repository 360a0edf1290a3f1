"""Detectors that first find regions and then look at each: R-CNN, Fast R-CNN and Faster R-CNN as one system."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from convolve.networks.detection.box_coding import clip, decode, with_sides
from convolve.networks.detection.detection_losses import region_losses
from convolve.networks.detection.detector import Detector, Found, Limits, RunRegions, Seen
from convolve.networks.detection.precision import in_full
from convolve.networks.detection.region_features import RegionFeatures
from convolve.networks.detection.region_heads import RegionHead
from convolve.networks.detection.region_proposals import GivenRegions, RegionProposals
from convolve.networks.detection.region_sampling import BOX_DEVIATIONS, RegionSampling
from convolve.networks.detection.suppression import suppress


class TwoStageDetector(Detector):
    """Regions, what is seen of each, and what is said of it. Each rung of the ladder replaces one part of the last.

    - rcnn: given regions; each is cut out of the image, and goes through the whole backbone.
    - fast: given regions; each is pooled from shared maps, and goes through two layers.
    - faster: regions from the shared maps themselves; the rest as in fast.

    Regions are constants to the loss of what is said of them: no gradient goes through their edges (Ren et al., NIPS
    2015, 3.2, "approximate joint training").

    Args:
        classes: K.
        dense: see `Detector`; what it gives must be what `proposals` and `features` take.
        proposals: where the regions come from.
        features: how they are seen.
        region_head: what is said of them.
        sampling: which of them a training step looks at.
        portion: regions that go through the head at once in test mode, at most: it bounds the memory.

    Attributes:
        classifier_scores: what the classifier's outputs are: logits of a softmax, or margins of one support vector
            machine for each class (that of the background then counts for nothing), of which the logistic function is
            taken.
    """

    region_head: RegionHead

    def __init__(
        self,
        *,
        classes: int,
        dense: nn.Module,
        proposals: GivenRegions | RegionProposals,
        features: RegionFeatures,
        region_head: RegionHead,
        sampling: RegionSampling,
        portion: int = 4096,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.takes_regions = isinstance(proposals, GivenRegions)
        self.dense = dense
        self.proposals = proposals
        self.features = features
        self.region_head = region_head
        self.sampling = sampling
        self.portion = portion
        self.limits = Limits()
        self.classifier_scores: Literal["softmax", "svm"] = "softmax"

    def losses(self, seen: Seen, targets: Tensor) -> dict[str, Tensor]:
        """{"objectness", "proposal_boxes"} where proposals are learned; {"classes", "boxes"} of the regions."""
        losses = self.proposals.losses(seen, targets)
        with torch.no_grad():
            sampled = [
                self.sampling.draw(regions, rows, hw)
                for regions, rows, hw in zip(self.propose(seen), targets, seen.hw, strict=True)
            ]
        outputs = self.say(seen, [image.regions for image in sampled], self.region_head)
        return losses | region_losses(outputs, sampled)

    def propose(self, seen: Seen) -> list[Tensor]:
        """See `Detector`."""
        return self.proposals.propose(seen)

    def detect(self, seen: Seen, *, run_regions: RunRegions | None = None) -> list[Found]:
        """See `Detector`."""
        regions = self.propose(seen)
        head = run_regions or self.region_head
        outputs = torch.cat([self.say(seen, part, head) for part in portions(regions, self.portion)])
        counts = [len(some) for some in regions]
        triples = zip(regions, torch.split(outputs, counts), seen.hw, strict=True)
        return [self._found(own, said, hw) for own, said, hw in triples]

    def probabilities(self, outputs: Tensor) -> Tensor:
        """(R, K) probabilities of the classes from outputs (R, K + 1 + ...) of the region head."""
        scores = outputs[:, : self.classes + 1]
        return scores[:, 1:].sigmoid() if self.classifier_scores == "svm" else scores.softmax(dim=1)[:, 1:]

    def say(self, seen: Seen, regions: Sequence[Tensor], head: RunRegions) -> Tensor:
        """(R, K + 1 + 4 K) float32 outputs of a head for the regions of all images, (R_n, 4) each."""
        return in_full(head(self.features(self.proposals.shared(seen.maps), seen.image_hw, regions)))

    def _found(self, regions: Tensor, outputs: Tensor, hw: Tensor) -> Found:
        probabilities = self.probabilities(outputs)
        # Before decoding: of most regions, nearly all classes are improbable.
        rows, labels = (probabilities >= self.limits.min_probability).nonzero(as_tuple=True)
        offsets = outputs[:, self.classes + 1 :].reshape(-1, self.classes, 4)[rows, labels]
        boxes = clip(decode(offsets, regions[rows].to(offsets), deviations=BOX_DEVIATIONS), hw)
        sound = with_sides(boxes)
        return suppress(boxes[sound], labels[sound], probabilities[rows, labels][sound], self.limits)


def portions(boxes: Sequence[Tensor], size: int) -> Iterator[list[Tensor]]:
    """The boxes of each image (R_n, 4) in portions of at most `size` of all images together; at least one portion."""
    total = sum(len(some) for some in boxes)
    for start in range(0, max(total, 1), size):
        part, first = [], 0
        for some in boxes:
            low, high = (min(max(place - first, 0), len(some)) for place in (start, start + size))
            part.append(some[low:high])
            first += len(some)
        yield part
