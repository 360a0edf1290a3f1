"""A network for masks to be explained: the question is what a pixel or a region of an image shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from convolve.data.dataset import IGNORE, Dataset, Mask
from convolve.data.decoding import BrokenImage
from convolve.data.masks.coding import decode_mask
from convolve.data.rasters import Pixels
from convolve.deploy.segmentation.model import SegmentationModel
from convolve.deploy.segmentation.prediction import check_source, fitted, with_channels
from convolve.errors import UserError
from convolve.networks.patch_margin import mirror_margin
from convolve.progress import Progress
from convolve.recipe.schema import DataSection, Recipe
from convolve.run.folder import Run
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.subject import Question, Subject
from convolve.workflow.data import open_data
from convolve.workflow.explaining.classify import check_classes
from convolve.workflow.explaining.explainer import Asked, Known, Pointed, fast
from convolve.workflow.segment.planning import read_map_plan
from convolve.workflow.segment.testing import with_classes

# Of larger images so many pixels a side are looked at, around what is asked about: gradients of more need gigabytes.
_MOST = 512


class RegionLogits(nn.Module):
    """The mean of a network's maps of scores over a region: its answer to "what does this show?".

    Args:
        network: (N, C, H, W) -> (N, K, H, W) logits.
        region: (H, W) bool; None = everywhere.
    """

    region: Tensor | None

    def __init__(self, network: nn.Module, region: Tensor | None) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("region", region)

    def forward(self, images: Tensor) -> Tensor:
        """(N, K) logits of normalised images (N, C, H, W)."""
        maps: Tensor = self.network(images)
        if self.region is None:
            return maps.mean(dim=(2, 3))
        return maps[:, :, self.region].mean(dim=2)


class _Window(NamedTuple):
    """A part of an image as the network sees it.

    Attributes:
        image: (C, h, w) in [0, 1].
        top, left: of it, and `height`, `width`: pixels of the upright image.
    """

    image: Tensor
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class SegmenterExplainer:
    """See `Explainer`."""

    model: SegmentationModel

    def check(self, pointed: Pointed) -> None:
        """See `Explainer`."""
        if pointed.box is not None:
            raise UserError("--box: this model finds no boxes", "Point with --pixel or --region.")
        if pointed.pixel and pointed.region:
            raise UserError("--pixel and --region: one question at a time", "Leave one of them out.")
        if pointed.region and self._of_patches:
            raise UserError("--region: this model answers pixel by pixel", "Point with --pixel.")
        check_classes(self.model.classes, pointed)

    def recipe_of(self, run: Run) -> Recipe:
        """See `Explainer`."""
        return read_map_plan(run).recipe

    def read(self, data: str, progress: Progress) -> Dataset:
        """See `Explainer`."""
        return with_classes(open_data(DataSection(path=data), progress, None, "segment").dataset, self.model)

    def network(self) -> Subject:
        """See `Explainer`."""
        return self._subject(self._network if self._of_patches else RegionLogits(self._network, None), self._side_hw)

    def ask(self, image: Path, pointed: Pointed, known: Known) -> Asked:
        """See `Explainer`."""
        window = self._window(image, pointed)
        return self._ask_patch(image, window, pointed) if self._of_patches else self._ask(image, window, pointed, known)

    def mistake(self, image: Pixels, name: str, truth: NDArray[np.uint8]) -> tuple[Subject, Question, float] | None:
        """The surest mistake in the middle of an image: the pixels of one class that were taken for another.

        Args:
            image: (H, W, C) pixels of the model's bands.
            name: of it.
            truth: (H, W) class indices, or `IGNORE`.

        Returns:
            The network, the question and the pixels' mean probability of what they were taken for; None if all is
            right there, or where the network answers patch by patch.
        """
        if self._of_patches:
            return None
        window = self._read(image, None, (_MOST, _MOST))
        probabilities = self._maps(window).softmax(dim=0)
        sure, labels = probabilities.max(dim=0)
        right = _seen(truth, window, labels)
        count = len(self.model.classes)
        wrong = (right != labels) & (right != IGNORE)
        if not bool(wrong.any()):
            return None
        # The pair of classes that were confused on the most pixels, each counted by how sure the answer was.
        pairs = (right * count + labels)[wrong]
        taken_for = int(torch.bincount(pairs, weights=sure[wrong], minlength=count * count).argmax())
        truth_index, wanted = divmod(taken_for, count)
        inside = wrong & (right == truth_index) & (labels == wanted)
        hw = (labels.shape[0], labels.shape[1])
        about = f"pixels of '{self.model.classes[truth_index]}' that were taken for '{self.model.classes[wanted]}'"
        question = Question(
            image=window.image, name=name, wanted=wanted, truth=truth_index, about=about, inside=inside.numpy()
        )
        return self._subject(RegionLogits(self._network, inside), hw), question, float(sure[inside].mean())

    def gallery(self, dataset: Dataset, rows: Sequence[int], hashes: Sequence[str], progress: Progress) -> Gallery:
        """See `Explainer`; of each image its middle, of the side that the network was trained on."""
        images, names = [], []
        for number, row in enumerate(rows):
            sample = dataset.samples[row]
            progress("decoding images", number + 1, len(rows))
            try:
                unit = self._read(sample.image, None, self._side_hw).image
            except BrokenImage:
                # Told by the data set's own findings.
                continue
            images.append((_of_hw(unit, self._side_hw).permute(1, 2, 0) * 255).round().byte().numpy())
            names.append(sample.name)
        if not images:
            raise UserError(f"{dataset.name}: none of its images can be used", "`convolve look` says why.")
        digest = blake2b(digest_size=16)
        digest.update(repr((self.model.preprocessing, self._side_hw, [hashes[row] for row in rows])).encode())
        return Gallery(images=np.stack(images), names=names, truths=(), key=digest.hexdigest())

    @property
    def _of_patches(self) -> bool:
        return self.model.network.trained_on == "patches"

    @cached_property
    def _network(self) -> nn.Module:
        """What is looked into: (N, C, H, W) -> (N, K, H, W), or of patches -> (N, K)."""
        network = self.model.network.trained if self._of_patches else self.model.network
        return self.model.compute.place(network).eval()

    @property
    def _side_hw(self) -> tuple[int, int]:
        height, width = self.model.architecture["image_hw"]
        return int(height), int(width)

    def _subject(self, network: nn.Module, image_hw: tuple[int, int]) -> Subject:
        model = self.model
        return Subject(
            network=self.model.compute.place(network).eval(),
            body=self._network,
            normalise=model.preprocessing.normalise,
            classes=model.classes,
            temperature=model.temperature,
            channels=model.preprocessing.channels,
            image_hw=image_hw,
            fill=model.preprocessing.fill,
            of_a_place=not self._of_patches,
            compute=fast(model.compute),
        )

    def _ask(self, image: Path, window: _Window, pointed: Pointed, known: Known) -> Asked:
        labels = self._maps(window).argmax(dim=0)
        wanted, inside, about = self._region(window, pointed, labels)
        network = RegionLogits(self._network, inside)
        truth = self._truth(image, window, inside, pointed, known)
        classes = self.model.classes
        shares = torch.bincount(labels.flatten(), minlength=len(classes)) / labels.numel()
        question = Question(
            image=window.image, name=image.name, wanted=wanted, truth=truth, about=about, inside=inside.numpy()
        )
        hw = (window.image.shape[1], window.image.shape[2])
        answers = {"shares": dict(zip(classes, shares.tolist(), strict=True)), "asked_about": about}
        return Asked(subject=self._subject(network, hw), question=question, answers=answers)

    def _maps(self, window: _Window) -> Tensor:
        """(K, h, w) logits, as the temperature makes them."""
        with torch.inference_mode():
            maps = self._network(self.model.preprocessing.normalise(window.image[None]).to(self.model.compute.device))
        logits: Tensor = maps[0].float().cpu() / self.model.temperature
        return logits

    def _region(self, window: _Window, pointed: Pointed, labels: Tensor) -> tuple[int, Tensor, str]:
        """The class, the region (h, w) bool of the window, and the region in words."""
        classes, inside = self.model.classes, torch.zeros_like(labels, dtype=torch.bool)
        across, down = labels.shape[1] / window.width, labels.shape[0] / window.height
        if pointed.pixel:
            x, y = pointed.pixel
            column, row = int((x - window.left + 0.5) * across), int((y - window.top + 0.5) * down)
            inside[min(row, len(inside) - 1), min(column, inside.shape[1] - 1)] = True
            about = f"the pixel at {x}, {y}"
        elif pointed.region:
            left, top, right, bottom = pointed.region
            rows = slice(int((top - window.top) * down), max(1, round((bottom - window.top) * down)))
            columns = slice(int((left - window.left) * across), max(1, round((right - window.left) * across)))
            inside[rows, columns] = True
            about = f"the region from {left}, {top} to {right}, {bottom}"
        else:
            counts = torch.bincount(labels.flatten(), minlength=len(classes))
            shown_class = classes.index(pointed.wanted) if pointed.wanted else int(counts.argmax())
            inside = labels == shown_class
            about = f"all pixels that were taken for '{classes[shown_class]}'"
            if not inside.any():
                raise UserError(
                    f"no pixel was taken for '{pointed.wanted}'", "Point at a place: --pixel X,Y or --region."
                )
        voted = int(torch.bincount(labels[inside], minlength=len(classes)).argmax())
        return (classes.index(pointed.wanted) if pointed.wanted else voted), inside, about

    def _truth(self, image: Path, window: _Window, inside: Tensor, pointed: Pointed, known: Known) -> int | None:
        if pointed.truth:
            return self.model.classes.index(pointed.truth)
        found = known(image)
        if found is None or found.coding is None or not isinstance(found.samples[0].target, Mask):
            return None
        mask: NDArray[np.uint8] = decode_mask(found.samples[0].target, found.coding, hw=None).classes
        seen = _seen(mask, window, inside)
        counted = seen[inside]
        counted = counted[counted != IGNORE]
        return int(counted.mode().values) if len(counted) else None

    def _ask_patch(self, image: Path, window: _Window, pointed: Pointed) -> Asked:
        """The patch around a pixel, mirrored at the image's border as in use."""
        x, y = pointed.pixel or (window.left + window.width // 2, window.top + window.height // 2)
        side = self.model.network.patch_side
        rows, columns = window.image.shape[1:]
        row = min(int((y - window.top + 0.5) * rows / window.height), rows - 1)
        column = min(int((x - window.left + 0.5) * columns / window.width), columns - 1)
        patch = mirror_margin(window.image[None], (side, side))[0, :, row : row + side, column : column + side]
        subject = self.network()
        with torch.inference_mode():
            logits = subject.logits(patch[None].to(self.model.compute.device)).float().cpu()
        probabilities = subject.probabilities(logits)[0]
        classes = self.model.classes
        wanted = classes.index(pointed.wanted) if pointed.wanted else int(probabilities.argmax())
        truth = classes.index(pointed.truth) if pointed.truth else None
        about = f"the pixel at {x}, {y}, by the patch around it"
        question = Question(image=patch, name=image.name, wanted=wanted, truth=truth, about=about)
        answers = {"probabilities": dict(zip(classes, probabilities.tolist(), strict=True)), "asked_about": about}
        return Asked(subject=subject, question=question, answers=answers)

    def _window(self, image: Path, pointed: Pointed) -> _Window:
        centre = pointed.pixel
        if pointed.region:
            left, top, right, bottom = pointed.region
            centre = ((left + right) // 2, (top + bottom) // 2)
        window = self._read(image, centre, (_MOST, _MOST))
        corners = [pointed.pixel] if pointed.pixel else []
        if pointed.region:
            left, top, right, bottom = pointed.region
            corners = [(left, top), (right - 1, bottom - 1)]
        for x, y in corners:
            across, down = x - window.left, y - window.top
            if not (0 <= across < window.width and 0 <= down < window.height):
                raise UserError(
                    f"{image.name}: {x}, {y} is not in what is looked at: columns {window.left} to "
                    f"{window.left + window.width - 1}, rows {window.top} to {window.top + window.height - 1}",
                    "Point at a place in the image; a region may not be larger than this.",
                )
        return window

    def _read(self, image: Path | Pixels, centre: tuple[int, int] | None, most_hw: tuple[int, int]) -> _Window:
        """What the network sees around a place, at most so many of its pixels.

        Raises:
            BrokenImage: the image cannot be read.
        """
        preprocessing = self.model.preprocessing
        with self.model.source(image, None) as source:
            name = image.name if isinstance(image, Path) else "an array"
            check_source(source, preprocessing, name)
            height, width = (
                min(length, max(1, round(most / preprocessing.scale)))
                for length, most in zip(source.hw, most_hw, strict=True)
            )
            x, y = centre or (source.hw[1] // 2, source.hw[0] // 2)
            top = min(max(0, y - height // 2), source.hw[0] - height)
            left = min(max(0, x - width // 2), source.hw[1] - width)
            pixels, valid = source.read(top, left, height, width)
        unit = preprocessing.to_unit(with_channels(pixels, preprocessing.channels), valid)[None]
        scaled = preprocessing.scaled_hw((height, width))
        images, _ = fitted(unit, scaled, self.model.network.smallest_side)
        return _Window(images[0], top, left, height, width)


def _of_hw(image: Tensor, hw: tuple[int, int]) -> Tensor:
    """(C, h, w) continued by its border, or cut, to (C, H, W)."""
    bottom, right = (max(0, new - old) for new, old in zip(hw, image.shape[1:], strict=True))
    return F.pad(image[None], (0, right, 0, bottom), mode="replicate")[0, :, : hw[0], : hw[1]]


def _seen(mask: NDArray[np.uint8], window: _Window, like: Tensor) -> Tensor:
    """(h, w) int64 classes of a window of a mask (H, W), at the resolution of a map (h, w)."""
    part = torch.tensor(mask[window.top : window.top + window.height, window.left : window.left + window.width])
    size = (like.shape[0], like.shape[1])
    return F.interpolate(part[None, None].float(), size=size, mode="nearest-exact")[0, 0].long()
