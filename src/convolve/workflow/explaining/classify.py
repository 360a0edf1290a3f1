"""A classifier to be explained: the question is what the image shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from torch import nn

from convolve.data.dataset import Dataset, ImageArray, labels_of
from convolve.data.pack import drop_broken, pack, prepare_image
from convolve.data.reading import read_dataset
from convolve.deploy.model import Model
from convolve.errors import UserError, unknown_name
from convolve.networks.joined_features import JoinedFeatures
from convolve.networks.symmetric_features import SymmetricFeatures
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.folder import Run
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.subject import Question, Subject, answer, as_they_are
from convolve.tasks.classify.several_labels import SeveralLabels
from convolve.workflow.explaining.explainer import Asked, Known, Pointed, fast
from convolve.workflow.planning import read_plan
from convolve.workflow.testing import with_classes


@dataclass(frozen=True)
class ClassifierExplainer:
    """See `Explainer`."""

    model: Model

    def check(self, pointed: Pointed) -> None:
        """See `Explainer`."""
        if pointed.pixel or pointed.region or pointed.box is not None:
            raise UserError(
                "--pixel, --region and --box: this model says what an image shows, not where",
                "Leave them out; --class chooses the class to explain.",
            )
        check_classes(self.model.classes, pointed)

    def recipe_of(self, run: Run) -> Recipe:
        """See `Explainer`."""
        return read_plan(run).recipe

    def read(self, data: str, recipe: Recipe | None, progress: Progress) -> Dataset:
        """See `Explainer`."""
        return with_classes(read_dataset(data), self.model.classes)

    def network(self) -> Subject:
        """See `Explainer`."""
        return self._subject

    def ask(self, image: Path, pointed: Pointed, known: Known) -> Asked:
        """See `Explainer`."""
        pixels = prepare_image(image, self.model.preprocessing).pixels
        question = self.question(pixels, image.name, wanted=0, truth=None)
        probabilities = answer(self._subject, question)
        classes = self.model.classes
        found = known(image)
        labels = labels_of(found.samples[0]) if found else ()
        truth = classes.index(pointed.truth) if pointed.truth else next(iter(labels), None)
        wanted = classes.index(pointed.wanted) if pointed.wanted else int(probabilities.argmax())
        return Asked(
            subject=self._subject,
            question=replace(question, wanted=wanted, truth=truth),
            answers=self.model.task.prediction(probabilities.tolist()),
        )

    def question(self, pixels: ImageArray, name: str, *, wanted: int, truth: int | None) -> Question:
        """The question that an image (H, W, C) uint8 asks that is fitted already."""
        # A copy, since packs are read-only.
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).to(torch.float32) / 255
        return Question(image=image, name=name, wanted=wanted, truth=truth)

    def gallery(self, dataset: Dataset, rows: Sequence[int], hashes: Sequence[str], progress: Progress) -> Gallery:
        """See `Explainer`."""
        packed = pack(dataset, self.model.preprocessing, hashes=hashes, progress=progress)
        drop_broken(dataset, packed)
        usable = np.array([row for row in rows if row not in packed.broken], np.int64)
        return Gallery(
            images=packed.images,
            names=[dataset.samples[row].name for row in usable],
            truths=[" + ".join(dataset.classes[label] for label in labels_of(dataset.samples[row])) for row in usable],
            key=blake2b(packed.key.encode() + usable.tobytes(), digest_size=16).hexdigest(),
            places=usable,
        )

    @cached_property
    def _subject(self) -> Subject:
        model, preprocessing = self.model, self.model.preprocessing
        body, copies = _body(model.network.backbone)
        return Subject(
            network=model.compute.place(model.network).eval(),
            body=body,
            normalise=preprocessing.normalise,
            classes=model.classes,
            several=isinstance(model.task, SeveralLabels),
            temperature=model.temperature,
            channels=preprocessing.channels,
            image_hw=preprocessing.image_hw,
            fill=tuple(value / 255 for value in preprocessing.fill),
            upright=as_they_are if copies is None else copies.moved_back,
            compute=fast(model.compute),
        )


def check_classes(classes: Sequence[str], pointed: Pointed) -> None:
    """See that the classes that are pointed at are a model's.

    Raises:
        UserError: one is not; with the nearest name.
    """
    for name in (pointed.wanted, pointed.truth):
        if name is not None and name not in classes:
            raise unknown_name("class of the model", name, classes)


def _body(backbone: nn.Module) -> tuple[nn.Module, SymmetricFeatures | None]:
    """The layers that a recipe names, without what is around them; and the copies of images that they see."""
    copies = backbone if isinstance(backbone, SymmetricFeatures) else None
    inner = copies.backbone if copies else backbone
    return (inner.backbone if isinstance(inner, JoinedFeatures) else inner), copies
