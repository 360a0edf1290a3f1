"""Weights go to layers by name and shape, and what became of every name is told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from convolve.errors import UserError, shown
from convolve.networks.first_layer import adapt_channels, first_convolution
from convolve.networks.network import Network
from convolve.networks.pretrained import Weights
from convolve.networks.weight_files import read_weight_file

_CLASSIFIERS = ("fc.", "classifier.", "head.")


@dataclass(frozen=True)
class LoadReport:
    """What became of the names on both sides; plain JSON values.

    Attributes:
        origin: where the tensors are from.
        loaded: tensors of the backbone that now have the source's values, those that were adapted among them.
        new: tensors of the backbone that the source does not have; they keep their random values.
        left_over: tensors of the source that the backbone has no place for, a classifier for example.
        adapted: tensors that were made to fit images of other channels.
        notes: what was unwrapped, in words.
        digest: of the loaded tensors; the same for the same values under the same names.
    """

    origin: str
    loaded: tuple[str, ...]
    new: tuple[str, ...]
    left_over: tuple[str, ...]
    adapted: tuple[str, ...]
    notes: tuple[str, ...]
    digest: str

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        parts = [f"{len(self.loaded)} of {len(self.loaded) + len(self.new)} tensors loaded from {self.origin}"]
        parts += [f"{what}: {shown(names)}" for what, names in self.rows() if what != "loaded"]
        return "; ".join([*parts, *self.notes])

    def rows(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(what became of them, names), where there are any."""
        classifier = tuple(name for name in self.left_over if name.startswith(_CLASSIFIERS))
        other = tuple(name for name in self.left_over if name not in classifier)
        fates = {
            "loaded": self.loaded,
            "adapted to the images' channels": self.adapted,
            "new, with random values": self.new,
            "left over, its classifier": classifier,
            "left over": other,
        }
        return ((what, names) for what, names in fates.items() if names)


def load_backbone(network: Network, source: Weights | Mapping[str, Tensor] | Path) -> LoadReport:
    """Copy weights into the backbone by Caffe's rule; the head keeps its values.

    Same name and shape: copied. Same name, another shape: an error, but for the channels of the first convolution,
    which are adapted (`adapt_channels`). No such name: left as it is, and reported. Weights that have less than half
    of the backbone's parameters by name are taken for those of another network.

    Auxiliary classifiers are taken off: they help a backbone that knows nothing, and random ones would spoil this one.

    Args:
        network: changed in place, all or nothing.
        source: published or packaged weights, or a backbone's tensors by name, or a weight file (`read_weight_file`).

    Raises:
        UserError: a shape differs, too little fits, a value is not finite, or the file cannot be used.
    """
    origin, given, notes = _tensors(source)
    own = network.backbone.state_dict()
    matching = [name for name in own if name in given]
    first = first_convolution(network.backbone)
    values, adapted = {}, []
    for name in matching:
        value, wanted = given[name], own[name]
        if name == f"{first}.weight" and _other_channels(value, wanted):
            value = adapt_channels(value, wanted.shape[1])
            adapted.append(name)
        if value.shape != wanted.shape:
            raise UserError(
                f"{origin}: '{name}' is {_shape(value)}, but {_shape(wanted)} in this network",
                "Choose the network the weights are for, with the same options.",
            )
        if value.is_floating_point() != wanted.is_floating_point():
            raise UserError(
                f"{origin}: '{name}' is {_dtype(value)}, but {_dtype(wanted)} in this network",
                "Save the weights as they were trained, in floating point.",
            )
        if not value.to(wanted.dtype).isfinite().all():
            raise UserError(f"{origin}: '{name}' has values that are not finite", "Take those of another training.")
        values[name] = value
    # After the shapes: which layer differs says more than how many names are missing.
    _check_names(network, given, origin)
    digest = blake2b(digest_size=16)
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(value)
            digest.update(name.encode())
            digest.update(own[name].cpu().contiguous().numpy().tobytes())
    network.auxiliaries = None
    return LoadReport(
        origin=origin,
        loaded=tuple(matching),
        new=tuple(name for name in own if name not in given),
        left_over=tuple(name for name in given if name not in own),
        adapted=tuple(adapted),
        notes=notes,
        digest=digest.hexdigest(),
    )


def _check_names(network: Network, given: Mapping[str, Tensor], origin: str) -> None:
    # Counters and statistics are left out: old files lack some, and they do not make a network.
    own = [name for name, _ in network.backbone.named_parameters()]
    found = [name for name in own if name in given]
    known = network.backbone.state_dict()
    theirs = next((name for name in given if name not in known), "none")
    examples = f"theirs: {theirs}; ours: {next((name for name in own if name not in given), 'none')}"
    if own and not found:
        raise UserError(
            f"{origin}: not one of its {len(given)} names is in this network ({examples})",
            "Choose the network the weights are for.",
        )
    if 2 * len(found) < len(own):
        raise UserError(
            f"{origin}: only {len(found)} of this network's {len(own)} parameter tensors are in it ({examples})",
            "Choose the network the weights are for, with the same options.",
        )


def _other_channels(value: Tensor, wanted: Tensor) -> bool:
    alike = value.ndim == 4 and value.shape[0] == wanted.shape[0] and value.shape[2:] == wanted.shape[2:]
    return alike and value.shape[1] != wanted.shape[1] and value.shape[1] > 0


def _tensors(source: Weights | Mapping[str, Tensor] | Path) -> tuple[str, Mapping[str, Tensor], tuple[str, ...]]:
    """Where the tensors are from, the tensors, named as in a backbone, and what was unwrapped to get them."""
    if isinstance(source, Weights):
        return f"weights '{source.name}'", source.load(), ()
    if isinstance(source, Path):
        file = read_weight_file(source)
        return str(source), file.tensors, file.notes
    return "weights", source, ()


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"
