"""A trained network with all that predicting takes, in memory and in one self-describing file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convolve.data.dataset import ImageArray
from convolve.data.decoding import BrokenImage
from convolve.data.pack import prepare_image
from convolve.data.preprocessing import Preprocessing
from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.networks.joined_features import JoinedFeatures
from convolve.networks.network import Network
from convolve.networks.pretrained import Weights
from convolve.run.tensors import read_card, read_tensors, write_tensors
from convolve.tasks.making import describe_task, make_task
from convolve.training.compute import Compute
from convolve.training.task import Task

_AT_ONCE = 32


@dataclass(frozen=True)
class Model:
    """A network that predicts from files or pixels.

    Attributes:
        network: in test mode.
        architecture: what builds the network: its name, its options, and the joined layers if there are any.
        task: knows the classes and what outputs mean.
        preprocessing: from an image to the network's input.
        temperature: divisor of the outputs.
        facts: for people: where the model comes from, its licence, the date; plain JSON values.
        compute: where and how to run.
    """

    network: Network
    architecture: Mapping[str, Any]
    task: Task
    preprocessing: Preprocessing
    temperature: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    compute: Compute = field(default_factory=Compute)

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in the order of the outputs."""
        return self.task.classes

    def outputs(self, pixels: ImageArray) -> Tensor:
        """(N, K) float32 outputs of fitted images (N, H, W, C) uint8."""
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32) / 255
        network = self.compute.place(self.network).eval()
        with torch.inference_mode(), self.compute.precision():
            outputs: Tensor = network(self.compute.images(self.preprocessing.normalise(images)))
        return outputs.float().cpu()

    def probabilities(self, images: Iterable[Path | ImageArray]) -> Tensor:
        """(N, K) float64 probabilities.

        Raises:
            BrokenImage: one of the images cannot be decoded.
        """
        parts = [
            self.outputs(np.stack([prepare_image(image, self.preprocessing).pixels for image in portion]))
            for portion in _portions(images)
        ]
        outputs = torch.cat(parts) if parts else torch.empty(0, len(self.classes))
        return self.task.probabilities(outputs, temperature=self.temperature)

    def predict(self, images: Iterable[Path | ImageArray]) -> Iterator[dict[str, Any]]:
        """For each image, in order, what the task says of it, or {"error": why there is nothing to say}.

        Args:
            images: files, or (H, W) or (H, W, C) uint8 pixels.
        """
        for portion in _portions(images):
            prepared: list[ImageArray | str] = [self._prepared(image) for image in portion]
            pixels = [image for image in prepared if not isinstance(image, str)]
            answers: Iterator[dict[str, Any]] = iter(())
            if pixels:
                probabilities = self.task.probabilities(self.outputs(np.stack(pixels)), temperature=self.temperature)
                answers = map(self.task.prediction, probabilities.tolist())
            for image in prepared:
                yield {"error": image} if isinstance(image, str) else next(answers)

    def _prepared(self, image: Path | ImageArray) -> ImageArray | str:
        try:
            return prepare_image(image, self.preprocessing).pixels
        except BrokenImage as error:
            return str(error)

    def save(self, path: Path) -> None:
        """Write the model, whole or not at all.

        Raises:
            UserError: no space is left.
        """
        card = {
            "task": describe_task(self.task),
            "preprocessing": self.preprocessing.model_dump(mode="json"),
            "network": dict(self.architecture),
            "temperature": self.temperature,
            "facts": dict(self.facts),
        }
        write_tensors(path, "model", self.network.state_dict(), card)


def load_model(path: Path) -> Model:
    """The model in a file; nothing in it is executed.

    Raises:
        UserError: the file is no model of convolve's, or damaged.
    """
    tensors, card = read_tensors(path, "model")
    try:
        task = make_task(card["task"])
        preprocessing = Preprocessing.model_validate(card["preprocessing"])
        architecture = card["network"]
        name, options, joined = architecture["name"], architecture["options"], architecture["joined"]
        temperature, facts = float(card["temperature"]), card["facts"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its description is damaged ({error})", "Restore it from a copy.") from error
    network = find_architecture(name).create(
        task.outputs, channels=preprocessing.channels, image_hw=preprocessing.image_hw, options=options
    )
    if joined:
        network = join(network, joined, features=tensors["head.weight"].shape[1], outputs=task.outputs)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"{path}: its weights do not fit its network '{name}'", "Restore it from a copy.") from error
    return Model(network.eval(), architecture, task, preprocessing, temperature, facts)


def weights_of_model(path: Path) -> Weights | None:
    """What is known of a model file of ours as a start for other trainings; None if it is a file of anybody else's.

    Raises:
        UserError: it is ours, and its description is damaged.
    """
    try:
        card = read_card(path, "model")
    except UserError:
        return None
    try:
        preprocessing = Preprocessing.model_validate(card["preprocessing"])
        architecture, facts = card["network"]["name"], card["facts"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its description is damaged ({error})", "Restore it from a copy.") from error
    return Weights(
        name=str(path),
        architecture=architecture,
        licence=facts.get("data_licence", ""),
        trained_on=facts.get("data", "unknown images"),
        mean=preprocessing.mean,
        std=preprocessing.std,
        sides=(max(preprocessing.image_hw),),
        how_to_get="",
        at_hand=path.exists,
        load=lambda: read_tensors(path, "model")[0],
    )


def join(network: Network, layers: Sequence[str], *, features: int, outputs: int) -> Network:
    """A network that reads its outputs off several layers (see `JoinedFeatures`), its head yet to be loaded."""
    return Network(JoinedFeatures(network.backbone, layers), torch.nn.Linear(features, outputs), features=features)


def _portions(images: Iterable[Path | ImageArray]) -> Iterator[list[Path | ImageArray]]:
    remaining = iter(images)
    while portion := list(islice(remaining, _AT_ONCE)):
        yield portion
