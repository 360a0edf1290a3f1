"""From an image as the network sees it to boxes: whole, or tile by tile so that one tile at a time is in floats."""

from dataclasses import dataclass, fields, replace
from math import lcm
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from convolve.data.box_preprocessing import BoxPreprocessing
from convolve.data.dataset import ImageArray
from convolve.deploy.detection.running import DetectorRuns
from convolve.deploy.detection.tiles import Tile, plan_tiles
from convolve.networks.detection.box_coding import clip
from convolve.networks.detection.detector import Detector, Found, Seen
from convolve.networks.detection.suppression import suppress
from convolve.training.inference import in_test_mode

_MULTIPLE = 32
"""Images are padded to multiples of it, as in training, so that few sizes occur."""

_SAME_OBJECT_IOU = 0.75
"""Soft suppression has kept overlapping boxes on purpose: between tiles only what is one object seen twice goes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timings:
    """Where the time went, seconds.

    Attributes:
        reading: decoding and resizing.
        proposals: selective search; or, of a network that makes its own, turning its maps into regions. The layers
            that give those maps are run with all others and count below. 0 where there are none or they were given.
        network: the layers, on the whole image and on each region, with what is cut out for each.
        suppression: from the network's last numbers to boxes.
        preparing: converting layers for a faster engine, once for each size of images; counted nowhere else.
    """

    reading: float = 0.0
    proposals: float = 0.0
    network: float = 0.0
    suppression: float = 0.0
    preparing: float = 0.0

    def __add__(self, other: "Timings") -> "Timings":
        """Sums, stage by stage."""
        return Timings(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})


class Looked(NamedTuple):
    """What was seen of an image, on the CPU, in its pixels as the network sees it.

    Attributes:
        found: the boxes.
        regions: (R, 4) float32 the proposals that were looked at, of each tile best first; none unless asked for.
        timings: where the time went.
    """

    found: Found
    regions: Tensor
    timings: Timings


@dataclass(frozen=True, kw_only=True)
class BoxPrediction:
    """How boxes are found.

    Attributes:
        network: the detector.
        runs: of its costly parts.
        preprocessing: from an image's values to the network's.
        tile: side of a tile, pixels of the input; images up to it are seen whole.
        overlap: what neighbouring tiles share at least, pixels of the input.
        telling: whether proposals are told, and timed apart; a network's own ones are made twice for that.
    """

    network: Detector
    runs: DetectorRuns
    preprocessing: BoxPreprocessing
    tile: int
    overlap: int
    telling: bool = False

    def find(self, image: ImageArray, regions: Tensor | None) -> Looked:
        """The boxes of an image.

        Args:
            image: (h, w, C) as the network sees it.
            regions: (R, 4) float32 proposals in its pixels, within it, for a detector that takes them.
        """
        tiles = plan_tiles(_hw(image), side=self.tile, overlap=self.overlap, step=lcm(_MULTIPLE, self.network.stride))
        found, proposals, spent = [], [torch.zeros(0, 4)], Timings()
        with in_test_mode(self.network), torch.inference_mode():
            for tile in tiles:
                given = None if regions is None else _regions_of(tile, regions)
                if given is not None and len(given) == 0:
                    continue
                some = self._look(image[tile.top : tile.bottom, tile.left : tile.right], given)
                boxes = some.found._replace(boxes=some.found.boxes + tile.origin)
                # A region is looked at in one tile only, so there all of its boxes count.
                found.append(boxes if given is not None else _kept(boxes, tile.answers_for(boxes.boxes)))
                looked_at = some.regions + tile.origin
                proposals.append(looked_at[tile.answers_for(looked_at)])
                spent += some.timings
            start = perf_counter()
            merged = found[0] if len(tiles) == 1 and found else self._merged(found)
        spent += Timings(suppression=perf_counter() - start)
        return Looked(merged, torch.cat(proposals), spent)

    def _look(self, window: ImageArray, given: Tensor | None) -> Looked:
        """What is seen of one tile, in its pixels."""
        prepared, start = self.runs.preparing, perf_counter()
        images = self._padded(window)
        maps = self.runs.dense(images)
        dense = perf_counter()
        hw = torch.tensor([_hw(window)])
        seen = Seen(maps, (images.shape[2], images.shape[3]), hw, None if given is None else given[None])
        regions, proposing = torch.zeros(0, 4), 0.0
        if self.telling:
            regions = self.network.propose(seen)[0].cpu()
            proposing = perf_counter() - dense
        last = perf_counter()

        def run_regions(features: Tensor) -> Tensor:
            nonlocal last
            outputs = self.runs.regions(features)
            last = perf_counter()
            return outputs

        has_head = self.network.region_head is not None
        found = self.network.detect(seen, run_regions=run_regions if has_head else None)[0]
        end = perf_counter()
        # `detect` makes a network's own proposals once more. What needs no making, or is no stage, is not one here.
        own = proposing if has_head and not self.network.takes_regions else 0.0
        preparing = self.runs.preparing - prepared
        timings = Timings(
            proposals=own,
            network=max(0.0, last - start - proposing - own - preparing),
            suppression=end - last,
            preparing=preparing,
        )
        return Looked(Found(*(values.cpu() for values in found)), regions, timings)

    def _padded(self, window: ImageArray) -> Tensor:
        """(1, C, H, W) normalised, continued to the right and below up to a size that the network takes."""
        unit = self.preprocessing.to_unit(window)[None]
        wanted = (-(-max(length, self.network.smallest_side) // _MULTIPLE) * _MULTIPLE for length in unit.shape[2:])
        bottom, right = (new - old for new, old in zip(wanted, unit.shape[2:], strict=True))
        canvas = F.pad(unit, (0, right, 0, bottom))
        fill = torch.tensor(self.preprocessing.fill, dtype=torch.float32)[:, None, None]
        canvas[:, :, unit.shape[2] :] = fill
        canvas[:, :, :, unit.shape[3] :] = fill
        return self.preprocessing.normalise(canvas)

    def _merged(self, found: list[Found]) -> Found:
        """The boxes of all tiles, those left out that another tile has found as well."""
        if not found:
            return Found(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
        limits = replace(self.network.limits, max_boxes=self.network.limits.max_boxes * len(found))
        if limits.soft_nms != "none":
            limits = replace(limits, soft_nms="none", nms_iou=max(limits.nms_iou, _SAME_OBJECT_IOU))
        boxes, labels, probabilities = (torch.cat(values) for values in zip(*found, strict=True))
        return suppress(boxes, labels, probabilities, limits)


def _hw(image: ImageArray) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _kept(found: Found, which: Tensor) -> Found:
    return Found(*(values[which] for values in found))


def _regions_of(tile: Tile, regions: Tensor) -> Tensor:
    """(r, 4) the regions that a tile answers for, in its pixels and cut off at its borders."""
    own = regions[tile.answers_for(regions)] - tile.origin
    own = clip(own, torch.tensor((tile.bottom - tile.top, tile.right - tile.left)))
    return own[(own[:, 2:] > own[:, :2]).all(dim=1)]


def as_regions(regions: object, hw: tuple[int, int], factors: tuple[float, float]) -> Tensor:
    """(R, 4) float32 proposals at the input's scale, cut off at the image's edges; what has no area is left out.

    Args:
        regions: (R, 4) left, top, right, bottom, pixels of the original image.
        hw: height and width of the input, pixels.
        factors: pixels of the input for one of the original, along x and y.

    Raises:
        ValueError: they are no boxes.
    """
    boxes = np.asarray(regions, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"regions of shape {boxes.shape} are not (R, 4) finite numbers")
    scaled = clip(torch.from_numpy(boxes * np.tile(factors, 2)).float(), torch.tensor(hw))
    return scaled[(scaled[:, 2:] > scaled[:, :2]).all(dim=1)]
