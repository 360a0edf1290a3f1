"""A detector whose reach one can count on one's fingers, and a model around a real one."""

from typing import Any

import torch
from torch import Tensor, nn

from convolve.data.box_preprocessing import BoxPreprocessing
from convolve.deploy.detection.model import DetectionModel, describe_detector
from convolve.networks.detection.anchors import AnchorShapes, base_anchors, place_anchors
from convolve.networks.detection.box_coding import clip, decode
from convolve.networks.detection.building import build_detector
from convolve.networks.detection.detector import Detector, Found, Limits, RunRegions, Seen
from convolve.networks.detection.suppression import suppress
from convolve.networks.layers.bilinear_upsampling import Lattice
from convolve.networks.score_maps.building import build_network
from convolve.randomness import torch_randomness
from convolve.recipe.schema import Recipe
from convolve.training.compute import Compute

CLASSES = ("ring", "disc")
ANCHORS = AnchorShapes(sizes=(24.0, 48.0), ratios=(0.5, 1.0, 2.0))


class SmallDetector(Detector):
    """Three convolutions of stride 2, then a class and a box at every place of stride 8: 1 + 2 + 4 + 8 pixels."""

    stride = 8
    reach = 15
    region_head = None

    def __init__(self, channels: int = 3, *, seed: int = 0) -> None:
        super().__init__()
        self.classes = len(CLASSES)
        self.limits = Limits(min_probability=0.9, max_boxes=100_000, nms_iou=0.3)
        with torch_randomness(seed, "test"):
            strided = [nn.Conv2d(some, 8, 3, stride=2, padding=1) for some in (channels, 8, 8)]
            self.dense = _Dense(strided, nn.Conv2d(8, self.classes, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1))
        with torch.no_grad():
            self.dense.scores.weight.mul_(40)

    def propose(self, seen: Seen) -> list[Tensor]:
        return [found.boxes for found in self.detect(seen)]

    def detect(self, seen: Seen, *, run_regions: RunRegions | None = None) -> list[Found]:
        scores, offsets = seen.maps
        places = place_anchors(base_anchors((32.0,), (1.0,)), Lattice(8, 0.0), (scores.shape[2], scores.shape[3]))
        found = []
        for image_scores, image_offsets, hw in zip(scores, offsets, seen.hw, strict=True):
            boxes = decode(image_offsets.flatten(1).T, places, deviations=(0.1, 0.1, 0.2, 0.2))
            probabilities, labels = image_scores.flatten(1).T.sigmoid().max(dim=1)
            inside = ((places[:, :2] + places[:, 2:]) / 2 < hw.flip(0)).all(dim=1)
            boxes = clip(boxes, hw)
            found.append(suppress(boxes[inside], labels[inside], probabilities[inside], self.limits))
        return found


class _Dense(nn.Module):
    def __init__(self, strided: list[nn.Conv2d], scores: nn.Conv2d, offsets: nn.Conv2d) -> None:
        super().__init__()
        self.strided = nn.ModuleList(strided)
        self.scores = scores
        self.offsets = offsets

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        for convolution in self.strided:
            images = convolution(images).relu()
        return self.scores(images), self.offsets(images)


def preprocessing(side: int, channels: int = 3) -> BoxPreprocessing:
    return BoxPreprocessing(channels=channels, side=side, mean=(0.5,) * channels, std=(0.25,) * channels)


def small_model(side: int, *, tile: int, channels: int = 3, compute: Compute | None = None) -> DetectionModel:
    """Its anchors are what the overlap of tiles is measured by."""
    return DetectionModel(
        SmallDetector(channels),
        {"anchors": {"sizes": [64.0], "ratios": [1.0]}},
        CLASSES,
        preprocessing(side, channels),
        tile,
        0.5,
        compute=compute or Compute(),
    )


def real_model(
    rung: str, *, channels: int = 3, options: dict[str, Any] | None = None, tile: int = 256
) -> DetectionModel:
    """A rung of the ladder on a small network with fresh weights, as `describe_detector` would say it."""
    recipe = Recipe.model_validate(
        {
            "data": "photos",
            "network": {"name": "residual", "options": {"depth": 8}},
            "detect": {"name": rung, "options": options or {}},
        }
    )
    size = {"channels": channels, "image_hw": (96, 128)}
    with torch_randomness(0, "test"):
        network = build_network("residual", recipe.network.options, outputs=len(CLASSES), **size)
        detector = build_detector(rung, options or {}, network, classes=len(CLASSES), anchors=ANCHORS, **size)
    return DetectionModel(
        detector.eval(),
        describe_detector(recipe, anchors=ANCHORS, image_hw=(96, 128)),
        CLASSES,
        preprocessing(128, channels),
        tile,
        0.5,
        facts={"data": "test"},
    )
