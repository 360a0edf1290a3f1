"""A detector to be explained: the question is what one of the boxes it found holds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import box_iou

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Boxes, Dataset, ImageArray
from convolve.data.decoding import BrokenImage, decode
from convolve.deploy.detection.model import DetectionModel
from convolve.errors import UserError
from convolve.networks.detection.detector import Detector, Seen
from convolve.networks.detection.one_stage import OneStageDetector
from convolve.networks.detection.two_stage import TwoStageDetector
from convolve.progress import Progress
from convolve.recipe.schema import DataSection, Recipe
from convolve.run.folder import Run
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.subject import Question, Subject
from convolve.workflow.data import open_data
from convolve.workflow.detect.planning import read_box_plan
from convolve.workflow.detect.testing import with_classes
from convolve.workflow.explaining.classify import check_classes
from convolve.workflow.explaining.explainer import Asked, Known, Pointed, fast

BACKGROUND = "background"
# Images are padded to multiples of it, as in training.
_MULTIPLE = 32
# From this overlap on, an annotated object is what a box found.
_SAME_IOU = 0.5
_SMALLEST_PROBABILITY = 1e-6


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
        first = 1 if self.network.classifier_scores == "svm" else 0
        return said[:, first : self.network.classes + 1]


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


@dataclass(frozen=True)
class DetectorExplainer:
    """See `Explainer`."""

    model: DetectionModel

    def check(self, pointed: Pointed) -> None:
        """See `Explainer`."""
        if pointed.pixel or pointed.region:
            raise UserError("--pixel and --region: this model finds boxes", "Choose one with --box.")
        check_classes(self.model.classes, pointed)

    def recipe_of(self, run: Run) -> Recipe:
        """See `Explainer`."""
        return read_box_plan(run).recipe

    def read(self, data: str, progress: Progress) -> Dataset:
        """See `Explainer`."""
        return with_classes(open_data(DataSection(path=data), progress, task="detect").dataset, self.model)

    def network(self) -> Subject:
        """See `Explainer`; asked what the whole of an image holds."""
        side = -(-self.model.preprocessing.side // _MULTIPLE) * _MULTIPLE
        whole = torch.tensor([0.0, 0.0, side, side])
        image = torch.zeros(1, self.model.preprocessing.channels, side, side)
        return self._subject(image, whole, label=0)

    def ask(self, image: Path, pointed: Pointed, known: Known) -> Asked:
        """See `Explainer`."""
        pixels = decode(image, channels=self.model.preprocessing.channels)
        found = self._found(image, pointed)
        number = (pointed.box or 1) - 1
        corners, label = found.corners[number], int(found.labels[number])
        subject, question = self.box(pixels, image.name, corners, label)
        wanted = pointed.wanted or self.model.classes[label]
        truth = self._truth(corners, pointed, known(image))
        probability = float(found.probabilities[number])
        question = replace(
            question,
            wanted=subject.classes.index(wanted),
            truth=subject.classes.index(truth) if truth in subject.classes else None,
            about=f"box {number + 1} of {len(found.labels)}, found with {probability:.1%}: {question.about}",
        )
        box = {"label": self.model.classes[label], "probability": probability, "box": corners.tolist()}
        return Asked(subject=subject, question=question, answers={**box, "boxes": len(found.labels)})

    def box(self, pixels: ImageArray, name: str, corners: NDArray[np.float64], label: int) -> tuple[Subject, Question]:
        """The question what a box holds.

        Args:
            pixels: (H, W, C) uint8, the upright image.
            name: of the image.
            corners: (4,) left, top, right, bottom in its pixels.
            label: the class that was found, an index of the model's.
        """
        factors = self.model.preprocessing.box_factors((pixels.shape[0], pixels.shape[1]))
        region = torch.from_numpy(corners * np.tile(factors, 2)).float()
        padded = self._padded(self.model.preprocessing.resize(pixels))
        subject = self._subject(padded, region, label)
        left, top, right, bottom = corners.round().astype(int).tolist()
        found = self.model.classes[label]
        question = Question(
            image=padded[0],
            name=name,
            wanted=subject.classes.index(found),
            about=f"'{found}' from {left}, {top} to {right}, {bottom}",
            inside=_inside(region, (padded.shape[2], padded.shape[3])),
        )
        return subject, question

    def gallery(self, dataset: Dataset, rows: Sequence[int], hashes: Sequence[str], progress: Progress) -> Gallery:
        """See `Explainer`; of one size, padded to the right and below."""
        side = -(-self.model.preprocessing.side // _MULTIPLE) * _MULTIPLE
        images, names = [], []
        for number, row in enumerate(rows):
            progress("decoding images", number + 1, len(rows))
            sample = dataset.samples[row]
            try:
                pixels = decode(sample.image, channels=self.model.preprocessing.channels)
            except BrokenImage:
                # Told by the data set's own findings.
                continue
            images.append(self._on_canvas(self.model.preprocessing.resize(pixels), (side, side)))
            names.append(sample.name)
        if not images:
            raise UserError(f"{dataset.name}: none of its images can be used", "`convolve look` says why.")
        told = repr((self.model.preprocessing, [hashes[row] for row in rows]))
        key = blake2b(told.encode(), digest_size=16).hexdigest()
        return Gallery(images=np.stack(images), names=names, truths=(), key=key)

    def _found(self, image: Path, pointed: Pointed) -> Detections:
        found = self.model.detect(image, threshold=self.model.threshold)
        if len(found.labels) == 0:
            # Nothing sure: the best of what is unsure is what there is to ask about.
            found = self.model.detect(image)
        if len(found.labels) == 0:
            raise BrokenImage("no box was found in it, so there is none to explain")
        if pointed.box is not None and pointed.box > len(found.labels):
            raise UserError(
                f"{image.name}: there is no box {pointed.box}", f"{len(found.labels)} were found; 1 is the surest."
            )
        return found

    def _truth(self, corners: NDArray[np.float64], pointed: Pointed, known: Dataset | None) -> str | None:
        if pointed.truth or known is None or not isinstance(known.samples[0].target, Boxes):
            return pointed.truth
        objects = known.samples[0].target.objects
        if objects:
            boxes = torch.tensor([one.corners for one in objects], dtype=torch.float64)
            overlaps = box_iou(torch.from_numpy(corners)[None].double(), boxes)[0]
            if float(overlaps.max()) >= _SAME_IOU:
                return known.classes[objects[int(overlaps.argmax())].index]
        return BACKGROUND

    def _subject(self, image: Tensor, region: Tensor, label: int) -> Subject:
        model, network = self.model, self.model.network
        softmax = isinstance(network, TwoStageDetector) and network.classifier_scores == "softmax"
        answers = _answers(network, model.preprocessing.normalise(image), region, label)
        return Subject(
            network=model.compute.place(answers).eval(),
            body=network,
            normalise=model.preprocessing.normalise,
            classes=(BACKGROUND, *model.classes) if softmax else model.classes,
            several=not softmax,
            channels=model.preprocessing.channels,
            image_hw=(image.shape[2], image.shape[3]),
            fill=model.preprocessing.fill,
            compute=fast(model.compute),
        )

    def _padded(self, seen: ImageArray) -> Tensor:
        """(1, C, H, W) in [0, 1], continued to the right and below up to a size that the network takes."""
        smallest = self.model.network.smallest_side
        height, width = (-(-max(length, smallest) // _MULTIPLE) * _MULTIPLE for length in seen.shape[:2])
        return self.model.preprocessing.to_unit(self._on_canvas(seen, (height, width)))[None]

    def _on_canvas(self, seen: ImageArray, hw: tuple[int, int]) -> ImageArray:
        canvas = np.empty((*hw, seen.shape[2]), np.uint8)
        canvas[:] = [round(255 * value) for value in self.model.preprocessing.fill]
        canvas[: seen.shape[0], : seen.shape[1]] = seen
        return canvas


def _answers(network: Detector, image: Tensor, region: Tensor, label: int) -> nn.Module:
    """What is said of the region: by the head for regions, or at the place whose box comes nearest to it."""
    if isinstance(network, TwoStageDetector):
        return RegionAnswers(network, region)
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


def _seen(network: Detector, images: Tensor) -> Seen:
    hw = torch.tensor([[images.shape[2], images.shape[3]]], device=images.device).expand(len(images), 2)
    return Seen(network.dense(images), (images.shape[2], images.shape[3]), hw, None)


def _inside(region: Tensor, hw: tuple[int, int]) -> NDArray[np.bool_]:
    left, top, right, bottom = region.round().int().tolist()
    inside = np.zeros(hw, bool)
    inside[top : max(bottom, top + 1), left : max(right, left + 1)] = True
    return inside
