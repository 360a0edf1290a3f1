"""What the units of a layer answer to one image."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from convolve.see.inside.layers import MapLayer, check_unit, find_layer
from convolve.see.inside.subject import Subject
from convolve.see.inside.unit_maps import check_finite, maps_of, stage_ends


@dataclass(frozen=True)
class Activations:
    """The maps of one layer for one image.

    Attributes:
        layer: which.
        units: those chosen, the strongest first where nobody chose.
        maps: (len(units), h, w) float32, theirs.
        largest: of all units of the layer.
        silent: units that are nowhere above zero.
        zeros: share of all numbers of the layer that are exactly zero, in [0, 1].
        signed: whether some are below zero, as in a layer without a rectifier behind it.
    """

    layer: MapLayer
    units: tuple[int, ...]
    maps: Tensor
    largest: float
    silent: int
    zeros: float
    signed: bool


def activations(
    subject: Subject, image: Tensor, *, layer: str | None = None, units: Sequence[int] = (), most: int = 12
) -> tuple[Activations, ...]:
    """The strongest maps of one layer, or of the last layer at each resolution.

    Args:
        subject: with maps.
        image: (C, H, W) in [0, 1].
        layer: its name; None = one of each resolution.
        units: of that layer; empty = those with the largest values.
        most: how many of them, of each layer.

    Raises:
        UserError: no such layer or unit; no maps; or a layer's numbers are none, and then which is the first.
    """
    chosen = stage_ends(subject) if layer is None else (find_layer(subject, layer),)
    for one in chosen:
        for unit in units:
            check_unit(one, unit)
    check_finite(subject, image[None])
    found = maps_of(subject, image[None], [one.name for one in chosen])
    return tuple(_of_layer(one, found[one.name][0].cpu(), units, most) for one in chosen)


def _of_layer(layer: MapLayer, maps: Tensor, units: Sequence[int], most: int) -> Activations:
    highest = maps.amax(dim=(1, 2))
    # Bounded activations (ReLU6) often share the largest value: then the larger mean counts.
    by_mean = maps.mean(dim=(1, 2)).argsort(descending=True, stable=True)
    strongest = by_mean[highest[by_mean].argsort(descending=True, stable=True)][:most].tolist()
    chosen = tuple(units) or tuple(strongest)
    return Activations(
        layer=layer,
        units=chosen,
        maps=maps[list(chosen)],
        largest=float(highest.max()),
        silent=int((highest <= 0).sum()),
        zeros=float((maps == 0).float().mean()),
        signed=bool((maps < 0).any()),
    )
