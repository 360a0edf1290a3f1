"""The networks one can choose, with what each costs and sees."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch

from convolve.errors import UserError
from convolve.networks.catalogue import all_names, find_architecture, published_weights
from convolve.networks.cost import cost_of
from convolve.networks.hub import networks_with_weights
from convolve.networks.network import ARCHITECTURES, Architecture, Network
from convolve.networks.pretrained import Weights, find_weights
from convolve.randomness import torch_randomness

# The ladder from AlexNet on, and what is worth a try today with few images and no GPU.
CLASSICS = (
    *(f"torchvision:{name}" for name in ("alexnet", "vgg16", "googlenet", "resnet18", "resnet50", "squeezenet1_1")),
    *(f"torchvision:{name}" for name in ("mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0")),
)
MOST_AT_ONCE = 60
_OWN_SIDE = 32
_LIBRARY_SIDE, _LIBRARY_OUTPUTS = 224, 1000


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """Where the trained weights of a network come from, and what they ask for; plain values.

    Attributes:
        source: a package, or the server they are downloaded from.
        how_to_get: what a user does who does not have them.
        at_hand: whether they are on this machine now: installed, or downloaded before.
        licence: empty where it is not stated.
        trained_on: the images.
        mean, std: per channel, of values in [0, 1]; the input is (value - mean) / std.
        sides: image sides in pixels that they were trained on.
    """

    source: str
    how_to_get: str
    at_hand: bool
    licence: str
    trained_on: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sides: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """A row of `convolve zoo`; plain values, so that it can be written as JSON.

    Attributes:
        name: what a recipe calls it.
        about: one line: what it is.
        source: the paper or the library it comes from.
        side: height and width in pixels that the figures below are for, with RGB images.
        outputs: classes that the figures below are for.
        parameters: trainable numbers.
        multiply_adds: of one image.
        receptive_field: side in pixels of what a unit of the last feature map sees; None = everything.
        weights: its trained weights, packaged or published; None where nobody gives any.
    """

    name: str
    about: str
    source: str
    side: int
    outputs: int
    parameters: int
    multiply_adds: int
    receptive_field: int | None
    weights: WeightsEntry | None


def zoo(pattern: str = "") -> list[ZooEntry]:
    """Networks with their facts.

    Args:
        pattern: empty for our own networks, those with trained weights at hand, and the classic ones; otherwise a
            shell pattern over every name, for example "timm:convnext*".

    Raises:
        UserError: no name fits the pattern, or more than `MOST_AT_ONCE` do.
    """
    if not pattern:
        return [_entry(name) for name in dict.fromkeys([*ARCHITECTURES, *networks_with_weights(), *CLASSICS])]
    names = [name for name in all_names() if fnmatchcase(name, pattern)]
    if not names:
        raise UserError(f"no network is called '{pattern}'", 'Put * where anything may stand, as in "timm:resnet*".')
    if len(names) > MOST_AT_ONCE:
        examples = ", ".join(_spread(names))
        raise UserError(f"{len(names):,} networks are called '{pattern}'", f"Narrow it down; for example: {examples}.")
    return [_entry(name) for name in names]


def _spread(names: list[str], count: int = 8) -> Iterable[str]:
    return (names[index * len(names) // count] for index in range(count))


def _entry(name: str) -> ZooEntry:
    architecture = find_architecture(name)
    weights = find_weights(name) or _published(name)
    own = name in ARCHITECTURES
    side = _side(architecture, weights, own)
    outputs = architecture.published_outputs if own else _LIBRARY_OUTPUTS
    network = _cheaply_built(architecture, outputs, side)
    # What a trained network is left with is what is counted.
    network.auxiliaries = None
    cost = cost_of(network, channels=3, image_hw=(side, side))
    return ZooEntry(
        name=name,
        about=architecture.about,
        source=architecture.source,
        side=side,
        outputs=outputs,
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        receptive_field=cost.receptive_field,
        weights=_weights_entry(weights) if weights else None,
    )


def _weights_entry(weights: Weights) -> WeightsEntry:
    return WeightsEntry(
        source=weights.source,
        how_to_get=weights.how_to_get,
        at_hand=weights.at_hand(),
        licence=weights.licence,
        trained_on=weights.trained_on,
        mean=weights.mean,
        std=weights.std,
        sides=weights.sides,
    )


def _cheaply_built(architecture: Architecture, outputs: int, side: int) -> Network:
    """The network with shapes only, or with numbers where its builder computes with them, as RegNet's does."""
    try:
        with torch.device("meta"):
            return architecture.create(outputs, channels=3, image_hw=(side, side))
    except NotImplementedError:
        with torch_randomness("zoo"):
            return architecture.create(outputs, channels=3, image_hw=(side, side))


def _published(name: str) -> Weights | None:
    try:
        return published_weights(name)
    except UserError:
        return None


def _side(architecture: Architecture, weights: Weights | None, own: bool) -> int:
    if architecture.sides:
        return architecture.sides[-1] if own else architecture.sides[0]
    if own:
        return max(_OWN_SIDE, architecture.smallest_side)
    return weights.sides[0] if weights else _LIBRARY_SIDE
