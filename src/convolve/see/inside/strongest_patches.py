"""The image patches that units answer to most strongly, over many images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convolve.progress import Progress, silent
from convolve.see.inside.backward_rules import BackwardRule
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.gradients import recorded, variable
from convolve.see.inside.layers import MapLayer, captured
from convolve.see.inside.subject import Subject
from convolve.see.inside.unit_maps import Window, empty_image, field_of, maps_of, not_finite, run_body, window_of

_AT_ONCE = 16


@dataclass(frozen=True)
class Responses:
    """The strongest answer of every unit of a layer to every image.

    Attributes:
        layer: which.
        rows: (N,) of the gallery.
        values: (N, U) float32.
        places: (N, U) int64, where in the map: row times width plus column; the first of equal ones.
    """

    layer: MapLayer
    rows: tuple[int, ...]
    values: NDArray[np.float32]
    places: NDArray[np.int64]


@dataclass(frozen=True)
class Patch:
    """What one unit saw when it answered.

    Attributes:
        row: of the image in the gallery.
        place: row and column of the unit in its map.
        value: its answer.
        window: the pixels that it sees; all of the image where nothing bounds them.
    """

    row: int
    place: tuple[int, int]
    value: float
    window: Window


@dataclass(frozen=True)
class UnitPatches:
    """One unit and its strongest patches, strongest first, one an image at most; none if it was never above zero."""

    unit: int
    patches: tuple[Patch, ...]


def responses(
    subject: Subject,
    gallery: Gallery,
    layers: Sequence[MapLayer],
    *,
    rows: Sequence[int],
    progress: Progress = silent,
) -> tuple[Responses, ...]:
    """The strongest answer of every unit of some layers, from one pass over the images.

    Args:
        subject: with maps.
        gallery: images of the subject's size.
        layers: at least one.
        rows: of the gallery, at least one.
        progress: told of every batch.

    Raises:
        UserError: a layer gives numbers that are none.
    """
    values: dict[str, list[NDArray[np.float32]]] = {layer.name: [] for layer in layers}
    places: dict[str, list[NDArray[np.int64]]] = {layer.name: [] for layer in layers}
    done = 0
    for some, images in gallery.batches(_AT_ONCE, rows):
        for name, maps in maps_of(subject, images, list(values)).items():
            highest, place = maps.flatten(2).max(dim=2)
            if not bool(maps.isfinite().all()):
                raise not_finite(name)
            values[name].append(highest.cpu().numpy())
            places[name].append(place.cpu().numpy())
        done += len(some)
        progress("looking for the strongest patches", done, len(rows))
    return tuple(
        Responses(layer, tuple(rows), np.concatenate(values[layer.name]), np.concatenate(places[layer.name]))
        for layer in layers
    )


def telling_units(found: Responses, truths: Sequence[str], *, most: int) -> tuple[int, ...]:
    """The units whose answers tell the images' classes apart most, or vary most where the classes are not known.

    Told apart: the share of a unit's variance over the images that lies between the classes (eta squared; Fisher,
    Statistical Methods for Research Workers, 1925, chapter VII).

    Args:
        found: of the gallery.
        truths: (N,) of its images, empty where unknown.
        most: how many units.

    Returns:
        The most telling first; units never above zero are left out unless there are too few others.
    """
    known = np.array(truths)
    values = found.values.astype(np.float64)
    labelled = known != ""
    between = _share_between(values[labelled], known[labelled]) if labelled.any() else np.zeros(values.shape[1])
    score = between if between.any() else values.var(axis=0)
    awake = values.max(axis=0) > 0
    order = np.lexsort((np.arange(len(score)), -score, ~awake))
    return tuple(int(unit) for unit in order[:most])


def strongest_patches(
    subject: Subject, found: Responses, units: Sequence[int], *, most: int = 9
) -> tuple[UnitPatches, ...]:
    """The patches of units where they answer most strongly.

    Args:
        subject: whose layer it is.
        found: its answers.
        units: of the layer.
        most: patches of a unit.
    """
    field = field_of(subject, found.layer.name)
    width = found.layer.map_hw[1]
    chosen = []
    for unit in units:
        order = np.argsort(-found.values[:, unit], kind="stable")[:most]
        patches = []
        for image in order:
            value = float(found.values[image, unit])
            place = divmod(int(found.places[image, unit]), width)
            if value > 0:
                patches.append(Patch(found.rows[image], place, value, window_of(field, place, subject.image_hw)))
        chosen.append(UnitPatches(unit, tuple(patches)))
    return tuple(chosen)


def has_switches(subject: Subject) -> bool:
    """Whether there is maximum pooling, without whose switches a deconvnet's picture is the same for every image.

    Springenberg, Dosovitskiy, Brox and Riedmiller, "Striving for simplicity", ICLR 2015 workshop, section 3.4.
    """
    mode = BackwardRule("deconvnet")
    with torch.no_grad(), mode:
        run_body(subject, empty_image(subject))
    return mode.switches > 0


def project(subject: Subject, gallery: Gallery, layer: str, unit: UnitPatches) -> Tensor:
    """(n, C, H, W) on the CPU: of each patch, what the unit answered to, by Zeiler and Fergus's deconvnet.

    From the one activation in its one place, all others of the layer being 0.

    Args:
        subject: whose layer it is.
        gallery: that the patches are of.
        layer: its name.
        unit: with patches.
    """
    rows, columns = zip(*(patch.place for patch in unit.patches), strict=True)
    numbers = torch.arange(len(unit.patches))
    with recorded(), captured(subject.body, [layer]) as kept:
        pixels = variable(subject, gallery.tensor([patch.row for patch in unit.patches]))
        with BackwardRule("deconvnet"):
            run_body(subject, pixels.clone())
        active = kept[layer][numbers, unit.unit, list(rows), list(columns)]
        (signals,) = torch.autograd.grad(active, pixels, active.detach())
    return signals.float().cpu()


def cut(image: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """A window (h, w, C) of an image (H, W, C)."""
    return image[window.top : window.bottom, window.left : window.right]


def _share_between(values: NDArray[np.float64], truths: NDArray[np.str_]) -> NDArray[np.float64]:
    """(U,) of values (N, U): variance of the classes' means, weighted by their images, over the whole variance."""
    whole = values.var(axis=0)
    between = np.zeros_like(whole)
    for name in np.unique(truths):
        own = values[truths == name]
        between += len(own) / len(values) * (own.mean(axis=0) - values.mean(axis=0)) ** 2
    share: NDArray[np.float64] = np.divide(between, whole, out=np.zeros_like(whole), where=whole > 0)
    return share
