"""A trained detector with all that predicting takes, in memory and in one self-describing file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import ceil, isfinite, sqrt
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from convolve.data.box_preprocessing import BoxPreprocessing
from convolve.data.boxes.detections import Detections
from convolve.data.boxes.selective_search import selective_search
from convolve.data.dataset import ImageArray
from convolve.data.decoding import decode
from convolve.deploy.detection.prediction import BoxPrediction, Timings, as_regions
from convolve.deploy.detection.running import DetectorRuns
from convolve.errors import UserError
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.building import build_detector
from convolve.networks.detection.detector import Detector, Found, Limits
from convolve.networks.detection.two_stage import TwoStageDetector
from convolve.networks.score_maps.building import build_network
from convolve.recipe.schema import Recipe
from convolve.run.tensors import read_tensors, write_tensors
from convolve.training.compute import Compute

_TASK = "detect"
_LARGEST_SIDE = 16384
_MOST_ANCHORS = 100
_MOST_BOXES = 10_000

ProposalMode = Literal["fast", "quality"]


@dataclass(frozen=True, kw_only=True)
class TimedDetections:
    """The objects of one image, and how they were found.

    Attributes:
        detections: the boxes.
        regions: (R, 4) float32 in pixels of the upright image: the proposals that were looked at, of each tile best
            first; where there is no proposal stage, all boxes that were chosen from.
        timings: where the time went.
    """

    detections: Detections
    regions: NDArray[np.float32]
    timings: Timings

    @property
    def seconds(self) -> dict[str, float]:
        """The timings by stage."""
        return asdict(self.timings)


@dataclass(frozen=True)
class DetectionModel:
    """A network that finds the objects in files or arrays.

    Attributes:
        network: any mode; not trained while the model is in use.
        architecture: what builds the network, as `describe_detector` says it.
        classes: names, in the order of the labels.
        preprocessing: from an image's values to the network's input.
        tile: side of a tile, pixels of the input; images up to it are seen whole, larger ones by tiles.
        threshold: probability from which boxes are shown where nobody says otherwise.
        proposals: how thorough selective search is, for a network that takes regions.
        facts: for people: where the model comes from, its licence, the date; plain JSON values.
        compute: where and how to run.
    """

    network: Detector
    architecture: Mapping[str, Any]
    classes: tuple[str, ...]
    preprocessing: BoxPreprocessing
    tile: int
    threshold: float
    proposals: ProposalMode = "fast"
    facts: Mapping[str, Any] = field(default_factory=dict)
    compute: Compute = field(default_factory=Compute)

    def detect(
        self, image: Path | ImageArray, *, regions: NDArray[np.float64] | None = None, threshold: float = 0.0
    ) -> Detections:
        """The objects of one image.

        Args:
            image: a file; or (H, W) or (H, W, C) uint8.
            regions: (R, 4) proposals in pixels of the upright image, best first, for a network that takes them; None =
                selective search makes them.
            threshold: less probable boxes are left out; the network's own limit holds as well.

        Returns:
            Boxes in pixels of the upright image, within it.

        Raises:
            BrokenImage: the image cannot be read.
            ValueError: regions are no boxes, or the network makes its own.
        """
        return self._detect(image, regions, threshold, telling=False).detections

    def detect_timed(
        self, image: Path | ImageArray, *, regions: NDArray[np.float64] | None = None, threshold: float = 0.0
    ) -> TimedDetections:
        """As `detect`, with the proposals and where the time went. It takes a little longer itself."""
        return self._detect(image, regions, threshold, telling=True)

    def _detect(
        self, image: Path | ImageArray, regions: NDArray[np.float64] | None, threshold: float, *, telling: bool
    ) -> TimedDetections:
        if regions is not None and not self.network.takes_regions:
            raise ValueError("this network makes its own regions, and takes none")
        start = perf_counter()
        pixels = decode(image, channels=self.preprocessing.channels)
        seen = self.preprocessing.resize(pixels)
        read = perf_counter()
        hw = (pixels.shape[0], pixels.shape[1])
        factors = self.preprocessing.box_factors(hw)
        searching = 0.0
        if regions is None and self.network.takes_regions:
            # Of grey and of coloured images alike, as in training: the colours help to find what the network sees grey.
            rgb = pixels if self.preprocessing.channels == 3 else decode(image, channels=3)
            regions = selective_search(rgb, mode=self.proposals)
            searching = perf_counter() - read
        scaled = None if regions is None else as_regions(regions, (seen.shape[0], seen.shape[1]), factors)
        looked = self.prediction(telling=telling).find(seen, scaled)
        return TimedDetections(
            detections=_in_original(looked.found, hw, factors, threshold),
            regions=(looked.regions.numpy() / np.tile(factors, 2)).astype(np.float32),
            timings=looked.timings + Timings(reading=read - start, proposals=searching),
        )

    def prediction(self, *, telling: bool = False) -> BoxPrediction:
        """How boxes are found in images as the network sees them."""
        return BoxPrediction(
            network=self.network,
            runs=self._runs,
            preprocessing=self.preprocessing,
            tile=self.tile,
            overlap=self._overlap,
            telling=telling,
        )

    @cached_property
    def _runs(self) -> DetectorRuns:
        return DetectorRuns(self.network, self.compute)

    @property
    def _overlap(self) -> int:
        """The longest side of an anchor, so that objects are whole in one of two tiles; and the network's reach."""
        shapes: Mapping[str, list[float]] = self.architecture["anchors"]
        longest = max(shapes["sizes"]) * max(max(sqrt(ratio), 1 / sqrt(ratio)) for ratio in shapes["ratios"])
        return ceil(longest) + 2 * (self.network.reach or 0)

    def save(self, path: Path) -> None:
        """Write the model, whole or not at all.

        Raises:
            UserError: no space is left.
        """
        card = {
            "task": {"name": _TASK, "classes": list(self.classes)},
            "preprocessing": self.preprocessing.model_dump(mode="json"),
            "network": dict(self.architecture),
            "limits": asdict(self.network.limits),
            "classifier_scores": _scores_of(self.network),
            "tile": self.tile,
            "threshold": self.threshold,
            "proposals": self.proposals,
            "facts": dict(self.facts),
        }
        write_tensors(path, "model", self.network.state_dict(), card)


def describe_detector(recipe: Recipe, *, anchors: AnchorShapes, image_hw: tuple[int, int]) -> dict[str, Any]:
    """What `load_detection_model` needs to build a network again, as plain JSON values.

    Args:
        recipe: resolved.
        anchors: that the network was built with.
        image_hw: likewise.
    """
    return {
        "name": recipe.network.name,
        "options": dict(recipe.network.options),
        "detector": {"name": recipe.detect.name, "options": dict(recipe.detect.options)},
        "anchors": {"sizes": list(anchors.sizes), "ratios": list(anchors.ratios)},
        "image_hw": list(image_hw),
    }


def load_detection_model(path: Path, *, compute: Compute | None = None) -> DetectionModel:
    """The model in a file; nothing in it is executed.

    Args:
        path: of the file.
        compute: where and how to run; None = plainly, on the CPU.

    Raises:
        UserError: the file is no model that finds objects, or damaged.
    """
    tensors, card = read_tensors(path, "model")
    if not is_detection(card):
        raise UserError(f"{path}: a model that finds no objects", "Give a model that was trained on images with boxes.")
    try:
        classes = tuple(map(str, card["task"]["classes"]))
        preprocessing = BoxPreprocessing.model_validate(card["preprocessing"])
        parts = _Parts.of(card["network"])
        limits = _limits(card["limits"])
        tile, threshold, proposals = int(card["tile"]), float(card["threshold"]), card["proposals"]
        scores, facts = card["classifier_scores"], dict(card["facts"])
        if not (1 <= tile <= _LARGEST_SIDE and preprocessing.side <= _LARGEST_SIDE):
            raise ValueError(f"tile is {tile}, side {preprocessing.side}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold}")
        if proposals not in get_args(ProposalMode):
            raise ValueError(f"proposals is {proposals!r}")
        if scores not in ("softmax", "svm"):
            raise ValueError(f"classifier_scores is {scores!r}")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: its description is damaged ({error})", "Restore it from a copy.") from error
    try:
        # Of sizes that no training writes, memory does not hold the layers: a RuntimeError as well.
        network = parts.detector(classes=len(classes), channels=preprocessing.channels)
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path}: its weights do not fit its network '{parts.name}'", "Restore it from a copy."
        ) from error
    network.limits = limits
    if isinstance(network, TwoStageDetector):
        network.classifier_scores = scores
    return DetectionModel(
        network.eval(),
        card["network"],
        classes,
        preprocessing,
        tile,
        threshold,
        proposals,
        facts,
        compute or Compute(),
    )


def is_detection(card: Mapping[str, Any]) -> bool:
    """Whether a model file's card is of a model that finds objects."""
    task = card.get("task")
    return isinstance(task, Mapping) and task.get("name") == _TASK


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a detector is built from: names and plain values."""

    name: str
    options: Mapping[str, Any]
    rung: str
    rung_options: Mapping[str, Any]
    anchors: AnchorShapes
    image_hw: tuple[int, int]

    @classmethod
    def of(cls, architecture: Mapping[str, Any]) -> "_Parts":
        """Those of a description; KeyError, TypeError, ValueError or OverflowError where it is damaged."""
        rung, shapes = architecture["detector"], architecture["anchors"]
        height, width = map(int, architecture["image_hw"])
        if not 1 <= min(height, width) <= max(height, width) <= _LARGEST_SIDE:
            raise ValueError(f"image_hw is {height} x {width}")
        anchors = AnchorShapes(
            sizes=_positive("anchors.sizes", shapes["sizes"]), ratios=_positive("anchors.ratios", shapes["ratios"])
        )
        names = str(architecture["name"]), dict(architecture["options"])
        return cls(*names, str(rung["name"]), dict(rung["options"]), anchors, (height, width))

    def detector(self, *, classes: int, channels: int) -> Detector:
        """With fresh weights."""
        network = build_network(self.name, self.options, outputs=classes, channels=channels, image_hw=self.image_hw)
        return build_detector(
            self.rung,
            self.rung_options,
            network,
            classes=classes,
            channels=channels,
            image_hw=self.image_hw,
            anchors=self.anchors,
        )


def _scores_of(network: Detector) -> str:
    """What the classifier's outputs are, which the weights do not say; see `TwoStageDetector`."""
    return network.classifier_scores if isinstance(network, TwoStageDetector) else "softmax"


def _positive(what: str, values: Any) -> tuple[float, ...]:
    numbers = tuple(map(float, values))
    if not 1 <= len(numbers) <= _MOST_ANCHORS or not all(isfinite(number) and number > 0 for number in numbers):
        raise ValueError(f"{what} is {values}")
    return numbers


def _limits(values: Any) -> Limits:
    limits = TypeAdapter(Limits).validate_python(values)
    within = 0 < limits.nms_iou <= 1 and 0 <= limits.min_probability < 1 and 1 <= limits.max_boxes <= _MOST_BOXES
    if not within:
        raise ValueError(f"limits are {values}")
    return limits


def _in_original(found: Found, hw: tuple[int, int], factors: tuple[float, float], threshold: float) -> Detections:
    """Boxes in pixels of the original image, within it; those that have no area there are left out."""
    corners = found.boxes.numpy().astype(np.float64) / np.tile(factors, 2)
    corners = corners.clip(0, (hw[1], hw[0]) * 2)
    probabilities = found.probabilities.numpy().astype(np.float64)
    kept = (probabilities >= threshold) & (corners[:, 2:] > corners[:, :2]).all(axis=1)
    return Detections(corners[kept], found.labels.numpy()[kept], probabilities[kept])
