"""The layers of a network that have maps, by name, and what comes out of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from convolve.errors import UserError, shown
from convolve.see.inside.subject import Subject

# Large networks have hundreds.
_NAMES_SHOWN = 12


@dataclass(frozen=True)
class MapLayer:
    """A layer with feature maps.

    Attributes:
        name: within the subject's body.
        maps: how many, its units.
        map_hw: height and width of each.
        kind: of module, for example "Conv2d".
    """

    name: str
    maps: int
    map_hw: tuple[int, int]
    kind: str


def map_layers(subject: Subject) -> tuple[MapLayer, ...]:
    """The layers whose output has places, more than one, in the order in which they are computed.

    Containers are left out where their last layer is there. A network without convolutions has none.
    """
    found: dict[str, MapLayer] = {}

    def note(name: str, module: nn.Module, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            # Called after the layers inside: a container that only gives on what its last layer gave is that layer.
            map_hw = (output.shape[2], output.shape[3])
            found.setdefault(name, MapLayer(name, output.shape[1], map_hw, type(module).__name__))

    hooks = [
        module.register_forward_hook(lambda module, _inputs, output, name=name: note(name, module, output))
        for name, module in subject.body.named_modules()
        if name and type(module).forward is not nn.Sequential.forward and not isinstance(module, nn.Identity)
    ]
    try:
        with torch.inference_mode():
            image = torch.tensor(subject.fill)[:, None, None].expand(subject.channels, *subject.image_hw)
            subject.logits(image[None].to(subject.compute.device))
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(found.values())


def find_layer(subject: Subject, name: str) -> MapLayer:
    """The layer with maps of this name.

    Raises:
        UserError: there is none; the message has the nearest names.
    """
    layers = {layer.name: layer for layer in map_layers(subject)}
    if not layers:
        raise no_maps()
    if name not in layers:
        near = get_close_matches(name, layers, n=3, cutoff=0.4)
        guess = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise UserError(
            f"unknown layer with maps '{name}'",
            f"{guess}There are {len(layers)}: {shown(layers, at_most=_NAMES_SHOWN)}.",
        )
    return layers[name]


def last_map_layer(subject: Subject) -> MapLayer:
    """The last layer with maps before the answer, where classes are told apart and places still known; or `telling`.

    Raises:
        UserError: the network has no maps.
    """
    if subject.telling:
        return find_layer(subject, subject.telling)
    layers = map_layers(subject)
    if not layers:
        raise no_maps()
    return layers[-1]


def check_unit(layer: MapLayer, unit: int) -> None:
    """Raise UserError if the layer has no such unit."""
    if not 0 <= unit < layer.maps:
        raise UserError(f"layer '{layer.name}' has no unit {unit}", f"Its units are 0 to {layer.maps - 1}.")


def no_maps() -> UserError:
    """What to say of a network without maps."""
    return UserError(
        "the network has no convolution, so it has no maps to look at",
        "Occlusion and integrated gradients work for every network: --only occlusion,integrated-gradients.",
    )


@contextmanager
def captured(body: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Within it, what comes out of some layers at the last pass, by name; gradients flow to these tensors.

    What follows gets a copy, so that an activation in place does not change what was captured.

    Args:
        body: the module that the names are within.
        names: of layers whose output is a tensor.
    """
    kept: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> Tensor:
        kept[name] = output
        return output.clone()

    hooks = [
        body.get_submodule(name).register_forward_hook(lambda _module, _inputs, output, name=name: keep(name, output))
        for name in names
    ]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()
