"""A detector to be explained: the question is what one of the boxes it found holds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Boxes, Dataset, ImageArray
from convolve.data.decoding import BrokenImage, decode
from convolve.deploy.detection.model import DetectionModel
from convolve.errors import UserError
from convolve.networks.detection.two_stage import TwoStageDetector
from convolve.networks.detectors.rcnn import WarpedRegions
from convolve.progress import Progress
from convolve.recipe.schema import DataSection, Recipe
from convolve.run.folder import Run
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.subject import Question, Subject
from convolve.workflow.data import open_data
from convolve.workflow.detect.planning import read_box_plan
from convolve.workflow.detect.testing import with_classes
from convolve.workflow.explaining.box_answers import answers_about, cuts_out, layers_over_image, proposal_of
from convolve.workflow.explaining.classify import check_classes
from convolve.workflow.explaining.explainer import Asked, Known, Pointed, fast

BACKGROUND = "background"
# Images are padded to multiples of it, as in training.
_MULTIPLE = 32
# From this overlap on, an annotated object is what a box found.
_SAME_IOU = 0.5


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

    def read(self, data: str, recipe: Recipe | None, progress: Progress) -> Dataset:
        """See `Explainer`."""
        return with_classes(open_data(DataSection(path=data), progress, task="detect").dataset, self.model)

    def network(self) -> Subject:
        """See `Explainer`; asked what the whole of an image holds."""
        side = -(-self.model.preprocessing.side // _MULTIPLE) * _MULTIPLE
        whole = torch.tensor([0.0, 0.0, side, side])
        image = torch.zeros(1, self.model.preprocessing.channels, side, side)
        cut = self._cut_out(image, whole)
        return self._subject(image if cut is None else cut, whole, label=0)

    def ask(self, image: Path, pointed: Pointed, known: Known) -> Asked:
        """See `Explainer`."""
        pixels = decode(image, channels=self.model.preprocessing.channels)
        found, regions = self._found(image, pointed)
        number = (pointed.box or 1) - 1
        corners, label = found.corners[number], int(found.labels[number])
        subject, question = self.box(pixels, image.name, corners, label, regions)
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

    def box(
        self,
        pixels: ImageArray,
        name: str,
        corners: NDArray[np.float64],
        label: int,
        regions: NDArray[np.float32] | None = None,
    ) -> tuple[Subject, Question]:
        """The question what a box holds.

        Args:
            pixels: (H, W, C) uint8, the upright image.
            name: of the image.
            corners: (4,) left, top, right, bottom in its pixels.
            label: the class that was found, an index of the model's.
            regions: (R, 4) the proposals that were looked at, for a network that takes them; None = unknown: what is
                said of the box itself then, not of the proposal that became it.
        """
        factors = np.tile(self.model.preprocessing.box_factors((pixels.shape[0], pixels.shape[1])), 2)
        seen = self.model.preprocessing.resize(pixels)
        padded, box = self._padded(seen), torch.from_numpy(corners * factors).float()
        given = None if regions is None else torch.from_numpy(regions * factors).float()
        region = self._region(padded, (seen.shape[0], seen.shape[1]), box, label, given)
        cut = self._cut_out(padded, region)
        image = padded if cut is None else cut
        subject = self._subject(image, region, label)
        left, top, right, bottom = corners.round().astype(int).tolist()
        found = self.model.classes[label]
        question = Question(
            image=image[0],
            name=name,
            wanted=subject.classes.index(found),
            about=f"'{found}' from {left}, {top} to {right}, {bottom}",
            inside=_inside(box, (padded.shape[2], padded.shape[3])) if cut is None else None,
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

    def _found(self, image: Path, pointed: Pointed) -> tuple[Detections, NDArray[np.float32] | None]:
        """The boxes, and the proposals of a network that takes them."""
        looked = self.model.detect_timed(image)
        found, sure = looked.detections, int((looked.detections.probabilities >= self.model.threshold).sum())
        # Where nothing is sure, the best of what is unsure is what there is to ask about.
        count = sure or len(found.labels)
        if count == 0:
            raise BrokenImage("no box was found in it, so there is none to explain")
        if pointed.box is not None and pointed.box > count:
            raise UserError(f"{image.name}: there is no box {pointed.box}", f"The surest is 1, the last {count}.")
        found = Detections(found.corners[:count], found.labels[:count], found.probabilities[:count])
        return found, looked.regions if self.model.network.takes_regions else None

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
        answers = answers_about(network, model.preprocessing.normalise(image), region, label)
        return Subject(
            network=model.compute.place(answers).eval(),
            body=layers_over_image(network),
            normalise=model.preprocessing.normalise,
            classes=(BACKGROUND, *model.classes) if softmax else model.classes,
            several=not softmax,
            channels=model.preprocessing.channels,
            image_hw=(image.shape[2], image.shape[3]),
            fill=model.preprocessing.fill,
            of_a_place=not cuts_out(network),
            compute=fast(model.compute),
        )

    def _region(self, padded: Tensor, hw: tuple[int, int], box: Tensor, label: int, given: Tensor | None) -> Tensor:
        """(4,) what the network looked at to find a box: of a two-stage detector a proposal."""
        network = self.model.network
        if not isinstance(network, TwoStageDetector):
            return box
        image = self.model.preprocessing.normalise(padded).to(self.model.compute.device)
        self.model.compute.place(network).eval()
        return proposal_of(network, image, hw, box, label, given)

    def _cut_out(self, padded: Tensor, region: Tensor) -> Tensor | None:
        """(1, C, s, s) in [0, 1], what R-CNN's network is given of a region; None for all that share their maps."""
        network = self.model.network
        if not isinstance(network, TwoStageDetector) or not isinstance(network.features, WarpedRegions):
            return None
        hw = (padded.shape[2], padded.shape[3])
        crop: Tensor = network.features((self.model.preprocessing.normalise(padded),), hw, [region[None]])
        mean, std = (
            torch.tensor(values)[:, None, None]
            for values in (self.model.preprocessing.mean, self.model.preprocessing.std)
        )
        return crop * std + mean

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


def _inside(region: Tensor, hw: tuple[int, int]) -> NDArray[np.bool_]:
    left, top, right, bottom = region.round().int().tolist()
    inside = np.zeros(hw, bool)
    inside[top : max(bottom, top + 1), left : max(right, left + 1)] = True
    return inside
