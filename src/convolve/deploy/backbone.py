"""A pre-trained backbone in a model file: weights for other trainings, which predict nothing on their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convolve.data.preprocessing import Preprocessing
from convolve.deploy.model import describe_network
from convolve.networks.network import Network
from convolve.run.tensors import write_tensors


def save_backbone(
    path: Path,
    network: Network,
    *,
    name: str,
    options: Mapping[str, Any],
    preprocessing: Preprocessing,
    facts: Mapping[str, Any],
) -> None:
    """Write a network's backbone, whole or not at all; `weights_of_model` reads it, `load_model` says what it is.

    Args:
        path: the file.
        network: its head is left out.
        name: of its architecture.
        options: of its architecture.
        preprocessing: of the images it was trained on.
        facts: for people, plain JSON values.

    Raises:
        UserError: no space is left.
    """
    card = {
        "task": None,
        "preprocessing": preprocessing.model_dump(mode="json"),
        "network": describe_network(network, name=name, options=options),
        "facts": dict(facts),
    }
    tensors = {f"backbone.{key}": value for key, value in network.backbone.state_dict().items()}
    write_tensors(path, "model", tensors, card)
