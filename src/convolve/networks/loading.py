"""Weights go to layers by name, and what became of every name is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from convolve.errors import UserError
from convolve.networks.network import Network
from convolve.networks.pretrained import Weights

_BACKBONE = "backbone."


@dataclass(frozen=True)
class LoadReport:
    """What became of the names on both sides.

    Attributes:
        loaded: tensors of the backbone that now have the source's values.
        new: tensors of the backbone that the source does not have; they keep their random values.
        left_over: tensors of the source that the backbone has no place for, a classifier for example.
    """

    loaded: tuple[str, ...]
    new: tuple[str, ...]
    left_over: tuple[str, ...]


def load_backbone(network: Network, source: Weights | Mapping[str, Tensor] | Path) -> LoadReport:
    """Copy weights into the backbone by Caffe's rule; the head keeps its values.

    Same name and shape: copied. Same name, another shape: an error. No such name: left as it is, and reported.

    Args:
        network: changed in place, all or nothing.
        source: published or packaged weights, or a backbone's tensors by name, or a .safetensors file of either a
            backbone or a whole network of ours.

    Raises:
        UserError: a shape differs, nothing fits, or the file cannot be read.
    """
    origin, given = _tensors(source)
    own = network.backbone.state_dict()
    matching = [name for name in own if name in given]
    for name in matching:
        if own[name].shape != given[name].shape:
            raise UserError(
                f"{origin}: '{name}' is {_shape(given[name])}, but {_shape(own[name])} in this network",
                "Choose the network the weights are for, with the same options.",
            )
    if not matching:
        raise UserError(
            f"{origin}: not one of its {len(given)} names is in this network (theirs: {next(iter(given), 'none')}; "
            f"ours: {next(iter(own), 'none')})",
            "Choose the network the weights are for.",
        )
    with torch.no_grad():
        for name in matching:
            own[name].copy_(given[name])
    return LoadReport(
        loaded=tuple(matching),
        new=tuple(name for name in own if name not in given),
        left_over=tuple(name for name in given if name not in own),
    )


def _tensors(source: Weights | Mapping[str, Tensor] | Path) -> tuple[str, Mapping[str, Tensor]]:
    """Where the tensors are from, for messages, and the tensors, named as in a backbone."""
    if isinstance(source, Weights):
        return f"weights '{source.name}'", source.load()
    if isinstance(source, Path):
        return str(source), _read(source)
    return "weights", source


def _read(file: Path) -> dict[str, Tensor]:
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: cannot be read as .safetensors ({error})", "Give a .safetensors file.") from error
    return {name.removeprefix(_BACKBONE): tensor for name, tensor in tensors.items()}


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"
