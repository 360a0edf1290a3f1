"""A trained network with all that predicting takes, in memory and in one self-describing file."""

from collections.abc import Iterable, Iterator, Mapping
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
from convolve.networks.heads import OWN_HEAD, kind_of_head, rebuild_head
from convolve.networks.joined_features import JoinedFeatures
from convolve.networks.network import Network
from convolve.networks.pretrained import Weights
from convolve.networks.symmetric_features import SymmetricFeatures
from convolve.run.tensors import read_card, read_tensors, write_tensors
from convolve.tasks.making import describe_task, make_task
from convolve.training.compute import Compute
from convolve.training.task import Task

_AT_ONCE = 32
_BACKBONE, _HEAD = "backbone.", "head."


@dataclass(frozen=True)
class Model:
    """A network that predicts from files or pixels.

    Attributes:
        network: in test mode.
        architecture: what builds the network, as `describe_network` says it.
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


def describe_network(network: Network, *, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `load_model` needs to build a network again, as plain JSON values.

    Args:
        network: perhaps with layers joined to its backbone's features, a mean over copies, and any kind of head.
        name: of its architecture.
        options: of its architecture.
    """
    outer = network.backbone
    backbone = outer.backbone if isinstance(outer, SymmetricFeatures) else outer
    return {
        "name": name,
        "options": dict(options),
        "joined": list(backbone.layers) if isinstance(backbone, JoinedFeatures) else [],
        "last": backbone.last if isinstance(backbone, JoinedFeatures) else True,
        "symmetry": outer.symmetry if isinstance(outer, SymmetricFeatures) else "none",
        "head": kind_of_head(network.head),
        "features": network.features,
    }


def load_model(path: Path) -> Model:
    """The model in a file; nothing in it is executed.

    Raises:
        UserError: the file is no model of convolve's, or damaged.
    """
    tensors, card = read_tensors(path, "model")
    if card.get("task", "") is None:
        raise UserError(
            f"{path}: a pre-trained backbone, which predicts nothing by itself",
            f"Train with it: convolve train DATA network.weights={path}",
        )
    try:
        task = make_task(card["task"])
        preprocessing = Preprocessing.model_validate(card["preprocessing"])
        architecture = card["network"]
        name, options = architecture["name"], architecture["options"]
        temperature, facts = float(card["temperature"]), card["facts"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its description is damaged ({error})", "Restore it from a copy.") from error
    network = find_architecture(name).create(
        task.outputs, channels=preprocessing.channels, image_hw=preprocessing.image_hw, options=options
    )
    try:
        network = _with_other_ends(network, architecture, tensors, outputs=task.outputs)
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
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
        architecture, options, facts = card["network"]["name"], card["network"]["options"], card["facts"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its description is damaged ({error})", "Restore it from a copy.") from error
    return Weights(
        name=str(path),
        architecture=architecture,
        options=options,
        source="a training of convolve's",
        licence=facts.get("data_licence", ""),
        trained_on=facts.get("data", "unknown images"),
        mean=preprocessing.mean,
        std=preprocessing.std,
        sides=(max(preprocessing.image_hw),),
        how_to_get="",
        at_hand=path.exists,
        load=lambda: _backbone_tensors(path),
    )


def _with_other_ends(
    network: Network, architecture: Mapping[str, Any], tensors: Mapping[str, Tensor], *, outputs: int
) -> Network:
    """A freshly built network with the joined layers and the head that a description names, yet to be loaded.

    Files from before there were kinds of heads have a linear one where layers are joined, else the network's own.
    """
    joined, last = architecture["joined"], architecture.get("last", True)
    symmetry = architecture.get("symmetry", "none")
    kind = architecture.get("head", "linear" if joined else OWN_HEAD)
    backbone = JoinedFeatures(network.backbone, joined, last=last) if joined else network.backbone
    if symmetry != "none":
        backbone = SymmetricFeatures(backbone, symmetry)
    if kind == OWN_HEAD:
        return Network(backbone, network.head, features=network.features)
    own = {name.removeprefix(_HEAD): tensor for name, tensor in tensors.items() if name.startswith(_HEAD)}
    features = architecture["features"] if "features" in architecture else own["weight"].shape[1]
    return Network(backbone, rebuild_head(kind, own, features=features, outputs=outputs), features=features)


def _backbone_tensors(path: Path) -> dict[str, Tensor]:
    """Those of the backbone, called "backbone.NAME" whatever is wrapped around it."""
    tensors, card = read_tensors(path, "model")
    described = card["network"]
    wrappers = bool(described.get("joined")) + (described.get("symmetry", "none") != "none")
    wrapper = _BACKBONE * (1 + wrappers)
    return {
        _BACKBONE + name.removeprefix(wrapper): tensor for name, tensor in tensors.items() if name.startswith(wrapper)
    }


def _portions(images: Iterable[Path | ImageArray]) -> Iterator[list[Path | ImageArray]]:
    remaining = iter(images)
    while portion := list(islice(remaining, _AT_ONCE)):
        yield portion
