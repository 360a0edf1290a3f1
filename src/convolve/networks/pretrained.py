"""Weights that somebody trained before: where they are, what they were trained on, and how to feed them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from convolve.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Trained weights of a backbone, and what using them asks for.

    Attributes:
        name: unique, for example "efficientnet_lite0".
        architecture: the network they are for, as a recipe names it.
        options: of that network, where they are known.
        source: where they come from: a package, a server, a training of one's own.
        licence: of the weights, an SPDX identifier where there is one; empty = not stated.
        trained_on: the images.
        mean, std: per channel (R, G, B, or grey), of values in [0, 1]; the input is (value - mean) / std.
        sides: image sides in pixels that they were trained on, ascending.
        how_to_get: what a user does who does not have them.
        at_hand: whether they are on this machine; looks at files only.
        load: the backbone's tensors by name, on the CPU.
    """

    name: str
    architecture: str
    source: str
    licence: str
    trained_on: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sides: tuple[int, ...]
    how_to_get: str
    at_hand: Callable[[], bool]
    load: Callable[[], dict[str, Tensor]]
    options: Mapping[str, Any] = field(default_factory=dict)


PACKAGED_WEIGHTS: Registry[Weights] = Registry("packaged weights", "convolve.networks.weights")
"""Weights that come as a Python package, so that they are there without network."""


def find_weights(architecture: str) -> Weights | None:
    """The packaged weights for this network, at hand or not; None when no package has any.

    Args:
        architecture: as a recipe names it, for example "timm:tf_efficientnet_lite0".
    """
    packaged = (PACKAGED_WEIGHTS[name] for name in PACKAGED_WEIGHTS)
    return next((weights for weights in packaged if weights.architecture == architecture), None)


def weights_at_hand() -> list[Weights]:
    """The packaged weights that are installed, by name."""
    packaged = (PACKAGED_WEIGHTS[name] for name in PACKAGED_WEIGHTS)
    return [weights for weights in packaged if weights.at_hand()]
