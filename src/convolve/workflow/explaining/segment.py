"""A network for masks to be explained: the question is what a pixel or a region of an image shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

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
from convolve.errors import UserError
from convolve.networks.patch_margin import mirror_margin
from convolve.progress import Progress
from convolve.recipe.schema import DataSection, Recipe
from convolve.run.folder import Run
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.layers import map_layers
from convolve.see.inside.subject import Question, Subject
from convolve.workflow.data import open_data
from convolve.workflow.explaining.classify import check_classes
from convolve.workflow.explaining.explainer import Asked, Known, Pointed, fast
from convolve.workflow.explaining.window import MOST, Window, read_window, window_of
from convolve.workflow.segment.planning import read_map_plan
from convolve.workflow.segment.testing import with_classes


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

    def read(self, data: str, recipe: Recipe | None, progress: Progress) -> Dataset:
        """See `Explainer`."""
        section = DataSection(path=data, bands=recipe.data.bands) if recipe else DataSection(path=data)
        opened = open_data(section, progress, recipe.masks if recipe else None, "segment")
        return with_classes(opened.dataset, self.model)

    def network(self) -> Subject:
        """See `Explainer`."""
        return self._subject(self._network if self._of_patches else RegionLogits(self._network, None), self._side_hw)

    def ask(self, image: Path, pointed: Pointed, known: Known) -> Asked:
        """See `Explainer`."""
        window = window_of(self.model, image, pointed)
        ask = self._ask_patch if self._of_patches else self._ask
        return ask(image, window, pointed, known)

    def mistake(self, image: Pixels, name: str, truth: NDArray[np.uint8]) -> tuple[Subject, Question, float] | None:
        """The surest mistake in the middle of an image: the pixels of one class that were taken for another.

        Args:
            image: (H, W, C) pixels of the model's bands.
            name: of it.
            truth: (H, W) class indices, or `IGNORE`.

        Returns:
            The network, the question and the pixels' mean probability of what they were taken for; None if all is
            right there.

        Raises:
            UserError: the network answers pixel by pixel.
        """
        if self._of_patches:
            raise UserError(
                "this network answers pixel by pixel, by the patch around each",
                "`convolve explain RUN IMAGE --pixel X,Y` looks into a patch.",
            )
        window = read_window(self.model, image, None, (MOST, MOST))
        probabilities = self._maps(window).softmax(dim=0)
        sure, labels = probabilities.max(dim=0)
        right = window.seen(truth)
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
                unit = read_window(self.model, sample.image, None, self._side_hw).image
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
        subject = Subject(
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
        return subject if self._of_patches else replace(subject, telling=_deepest(subject))

    def _ask(self, image: Path, window: Window, pointed: Pointed, known: Known) -> Asked:
        labels = self._maps(window).argmax(dim=0)
        wanted, inside, about = self._region(window, pointed, labels)
        network = RegionLogits(self._network, inside)
        truth = self._truth(image, window, inside, pointed, known)
        classes = self.model.classes
        shown = labels[: window.shown_hw[0], : window.shown_hw[1]]
        shares = torch.bincount(shown.flatten(), minlength=len(classes)) / shown.numel()
        question = Question(
            image=window.image, name=image.name, wanted=wanted, truth=truth, about=about, inside=inside.numpy()
        )
        hw = (window.image.shape[1], window.image.shape[2])
        answers = {"shares": dict(zip(classes, shares.tolist(), strict=True)), "asked_about": about}
        return Asked(subject=self._subject(network, hw), question=question, answers=answers)

    def _maps(self, window: Window) -> Tensor:
        """(K, h, w) logits, as the temperature makes them."""
        with torch.inference_mode():
            maps = self._network(self.model.preprocessing.normalise(window.image[None]).to(self.model.compute.device))
        logits: Tensor = maps[0].float().cpu() / self.model.temperature
        return logits

    def _region(self, window: Window, pointed: Pointed, labels: Tensor) -> tuple[int, Tensor, str]:
        """The class, the region (h, w) bool of the window, and the region in words."""
        classes, inside = self.model.classes, torch.zeros_like(labels, dtype=torch.bool)
        shown = (slice(0, window.shown_hw[0]), slice(0, window.shown_hw[1]))
        if pointed.pixel:
            x, y = pointed.pixel
            inside[window.cell(x, y)] = True
            about = f"the pixel at {x}, {y}"
        elif pointed.region:
            left, top, right, bottom = pointed.region
            inside[window.cells(pointed.region)] = True
            about = f"the region from {left}, {top} to {right}, {bottom}"
        else:
            counts = torch.bincount(labels[shown].flatten(), minlength=len(classes))
            whose = classes.index(pointed.wanted) if pointed.wanted else int(counts.argmax())
            inside[shown] = labels[shown] == whose
            about = f"all pixels that were taken for '{classes[whose]}'"
            if not inside.any():
                raise UserError(
                    f"no pixel was taken for '{pointed.wanted}'", "Point at a place: --pixel X,Y or --region."
                )
        voted = int(torch.bincount(labels[inside], minlength=len(classes)).argmax())
        return (classes.index(pointed.wanted) if pointed.wanted else voted), inside, about

    def _truth(self, image: Path, window: Window, inside: Tensor, pointed: Pointed, known: Known) -> int | None:
        if pointed.truth:
            return self.model.classes.index(pointed.truth)
        found = known(image)
        if found is None or found.coding is None or not isinstance(found.samples[0].target, Mask):
            return None
        mask: NDArray[np.uint8] = decode_mask(found.samples[0].target, found.coding, hw=None).classes
        counted = window.seen(mask)[inside]
        counted = counted[counted != IGNORE]
        return int(counted.mode().values) if len(counted) else None

    def _ask_patch(self, image: Path, window: Window, pointed: Pointed, known: Known) -> Asked:
        """The patch around a pixel, mirrored at the image's border as in use."""
        x, y = pointed.pixel or (window.left + window.width // 2, window.top + window.height // 2)
        side = self.model.network.patch_side
        row, column = window.cell(x, y)
        patch = mirror_margin(window.image[None], (side, side))[0, :, row : row + side, column : column + side]
        subject = self.network()
        with torch.inference_mode():
            logits = subject.logits(patch[None].to(self.model.compute.device)).float().cpu()
        probabilities = subject.probabilities(logits)[0]
        classes = self.model.classes
        wanted = classes.index(pointed.wanted) if pointed.wanted else int(probabilities.argmax())
        inside = torch.zeros(window.image.shape[1:], dtype=torch.bool)
        inside[row, column] = True
        truth = self._truth(image, window, inside, pointed, known)
        about = f"the pixel at {x}, {y}, by the patch around it"
        question = Question(image=patch, name=image.name, wanted=wanted, truth=truth, about=about)
        answers = {"probabilities": dict(zip(classes, probabilities.tolist(), strict=True)), "asked_about": about}
        return Asked(subject=subject, question=question, answers=answers)


def _deepest(subject: Subject) -> str:
    """The last of the coarsest layers that are not scores yet, where most of the image is known.

    The last layers are the answer itself, pixel by pixel: that they speak for it says nothing. Vinogradova, Dibrov and
    Myers, "Towards Interpretable Semantic Segmentation via Gradient-weighted Class Activation Mapping", AAAI 2020.
    """
    layers = [layer for layer in map_layers(subject) if layer.maps != len(subject.classes)]
    if not layers:
        return ""
    coarsest = min(layer.map_hw for layer in layers)
    return [layer.name for layer in layers if layer.map_hw == coarsest][-1]


def _of_hw(image: Tensor, hw: tuple[int, int]) -> Tensor:
    """(C, h, w) continued by its border, or cut, to (C, H, W)."""
    bottom, right = (max(0, new - old) for new, old in zip(hw, image.shape[1:], strict=True))
    return F.pad(image[None], (0, right, 0, bottom), mode="replicate")[0, :, : hw[0], : hw[1]]
