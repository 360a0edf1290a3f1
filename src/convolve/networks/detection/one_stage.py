"""Boxes and classes straight from the maps, at every place at once, with no proposal stage.

What a place says and how it is trained is the head's: siblings of this file, around torchvision's layers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from convolve.networks.detection.anchors import centred_within, place_anchors
from convolve.networks.detection.box_coding import clip, with_sides
from convolve.networks.detection.detector import Detector, Found, Limits, RunRegions, Seen
from convolve.networks.detection.precision import in_full
from convolve.networks.detection.shared_maps import SharedMaps, tell_measures
from convolve.networks.detection.suppression import suppress
from convolve.networks.layers.bilinear_upsampling import Lattice

_CANDIDATES = 1000
"""Of each map, the most probable pairs of a box and a class, that suppression chooses from (Lin et al. 2017, 4.1)."""


class OneStageHead(nn.Module):
    """The layers after the maps, how their outputs are read, and the loss.

    Letters: N images, L maps, h x w places of a map, A references a place, M references of all maps, D outputs of a
    reference, K classes, m rows of an image's targets.

    Args:
        lattices: where the units of each map lie on the image, finest first.
        bases: of each map, (A, 4) references around (0, 0).

    Attributes:
        reach: pixels from a unit's centre to the centre of the farthest unit that its outputs see.
    """

    def __init__(self, lattices: Sequence[Lattice], bases: Sequence[Tensor], *, reach: int) -> None:
        super().__init__()
        self.lattices = tuple(lattices)
        self.bases = tuple(bases)
        self.reach = reach

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """L maps (N, C, h, w) -> L maps (N, A * D, h, w), finest first."""
        raise NotImplementedError

    def losses(self, rows: Tensor, references: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Each part of the loss of one image, float32 scalars.

        Args:
            rows: (M, D) float32 outputs.
            references: (M, 4).
            targets: (m, 6).
        """
        raise NotImplementedError

    def probabilities(self, rows: Tensor) -> Tensor:
        """(M, K) from (M, D) outputs."""
        raise NotImplementedError

    def boxes(self, rows: Tensor, references: Tensor) -> Tensor:
        """(M, 4) from (M, D) outputs and (M, 4) references."""
        raise NotImplementedError

    def rows(self, outputs: Tensor) -> Tensor:
        """(N, h * w * A, D) from a map (N, A * D, h, w), in the order of `references`."""
        images, channels, *hw = outputs.shape
        references = len(self.bases[0])
        per_place = in_full(outputs).reshape(images, references, channels // references, *hw)
        return per_place.permute(0, 3, 4, 1, 2).flatten(1, 3)

    def references(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """For each map of outputs, (h * w * A, 4) float32."""
        return [
            place_anchors(base.to(level.device), lattice, (level.shape[2], level.shape[3]))
            for base, lattice, level in zip(self.bases, self.lattices, outputs, strict=True)
        ]


def per_reference(*parts: Tensor, references: int) -> Tensor:
    """Maps (N, A * D_i, h, w) as one (N, A * sum of D_i, h, w), all outputs of a reference next to each other."""
    split = [part.reshape(len(part), references, -1, *part.shape[2:]) for part in parts]
    return torch.cat(split, dim=2).flatten(1, 2)


class MapsWithOutputs(nn.Module):
    """Shared maps, and what the head makes of them: all the work on images, in one exportable module.

    Args:
        shared: the maps.
        head: reads them.
    """

    def __init__(self, shared: SharedMaps, head: OneStageHead) -> None:
        super().__init__()
        self.shared = shared
        self.head = head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) -> the head's outputs, finest first."""
        outputs: tuple[Tensor, ...] = self.head(self.shared(images))
        return outputs


class OneStageDetector(Detector):
    """A detector without regions: `propose` gives all boxes that suppression would choose from.

    References whose centre is outside of an image's content, on padding, neither train nor say anything.

    Args:
        dense: its parts.
        classes: K.
    """

    dense: MapsWithOutputs

    def __init__(self, dense: MapsWithOutputs, *, classes: int) -> None:
        super().__init__()
        self.dense = dense
        self.region_head = None
        self.classes = classes
        self.limits = Limits()
        tell_measures(self, dense.shared, further=dense.head.reach)

    @property
    def head(self) -> OneStageHead:
        """The layers after the maps."""
        return self.dense.head

    def losses(self, seen: Seen, targets: Tensor) -> dict[str, Tensor]:
        """See `Detector.losses`; the parts are the head's."""
        references = torch.cat(self.head.references(seen.maps))
        rows = torch.cat([self.head.rows(level) for level in seen.maps], dim=1)
        found = []
        for outputs, objects, hw in zip(rows, targets, seen.hw, strict=True):
            within = centred_within(references, hw).nonzero()[:, 0]
            found.append(self.head.losses(outputs[within], references[within], objects))
        return {name: torch.stack([parts[name] for parts in found]) for name in found[0]}

    def propose(self, seen: Seen) -> list[Tensor]:
        """All boxes of each image that are probable enough, of each map the best 1,000, before any is suppressed."""
        return [boxes for boxes, _, _ in self._candidates(seen)]

    def detect(self, seen: Seen, *, run_regions: RunRegions | None = None) -> list[Found]:
        """See `Detector.detect`; there are no regions to run."""
        return [suppress(*candidates, self.limits) for candidates in self._candidates(seen)]

    @torch.no_grad()
    def _candidates(self, seen: Seen) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of each image (M, 4) boxes, (M,) labels, (M,) probabilities, most probable first."""
        references = self.head.references(seen.maps)
        rows = [self.head.rows(level) for level in seen.maps]
        found = []
        for image, hw in enumerate(seen.hw):
            levels = [self._best(level[image], places, hw) for level, places in zip(rows, references, strict=True)]
            boxes, labels, probabilities = (torch.cat(parts) for parts in zip(*levels, strict=True))
            order = probabilities.argsort(descending=True, stable=True)
            found.append((boxes[order], labels[order], probabilities[order]))
        return found

    def _best(self, rows: Tensor, references: Tensor, hw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        within = centred_within(references, hw)
        probabilities = self.head.probabilities(rows).masked_fill(~within[:, None], -1).flatten()
        probable = (probabilities >= self.limits.min_probability).nonzero()[:, 0]
        best = probable[probabilities[probable].topk(min(_CANDIDATES, len(probable))).indices]
        places, labels = best // self.classes, best % self.classes
        boxes = clip(self.head.boxes(rows[places], references[places]), hw)
        there = with_sides(boxes)
        return boxes[there], labels[there], probabilities[best][there]
