"""The image patches that units answer to most strongly."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from convolve.see.inside.contact_sheet import contact_sheet, in_colours, sized
from convolve.see.inside.gallery import Gallery, needed_gallery
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.layers import MapLayer, check_unit, find_layer
from convolve.see.inside.many_passes import affordable_passes
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.projection_pictures import signal_picture
from convolve.see.inside.strongest_patches import (
    Patch,
    Responses,
    UnitPatches,
    cut,
    has_switches,
    project,
    responses,
    strongest_patches,
    telling_units,
)
from convolve.see.inside.subject import Subject
from convolve.see.inside.unit_maps import stage_ends

# Of a costly network as few as the latter.
_MOST_IMAGES, _LEAST_IMAGES = 2000, 200
_SIDE, _COLUMNS = 96, 3


def _run(
    subject: Subject,
    look: Look,
    *,
    at_most: Annotated[int, Field(ge=1, le=64)] = 6,
    projections: bool = True,
) -> Panel:
    """The nine strongest patches of units of a middle layer and of the last, or of the layer that was asked for.

    Args:
        subject: with maps.
        look: the gallery; the layer and its units.
        at_most: units of a layer, where none are asked for.
        projections: beside each patch, its deconvnet projection, where there is maximum pooling.
    """
    gallery = needed_gallery(look.gallery, "strongest-patches")
    layers = _layers(subject, look)
    for asked in look.units:
        check_unit(layers[-1], asked)
    most = affordable_passes(subject, gallery.tensor([0])[0], most=_MOST_IMAGES, least=_LEAST_IMAGES)
    rows = gallery.rows(most)
    projected = projections and has_switches(subject)
    pictures: list[Picture] = []
    numbers: dict[str, object] = {}
    quiet: list[str] = []
    for found in responses(subject, gallery, layers, rows=rows, progress=look.progress):
        units = look.units or telling_units(found, [gallery.truth(row) for row in rows], most=at_most)
        chosen = strongest_patches(subject, found, units)
        for number, unit in enumerate(chosen):
            look.progress(f"drawing patches of {found.layer.name}", number + 1, len(chosen))
            if unit.patches:
                name = f"{len(numbers) + 1}-unit-{unit.unit}"
                pictures.append(_picture(subject, gallery, found, unit, name, projected=projected))
            else:
                quiet.append(f"unit {unit.unit} of '{found.layer.name}' is not active on any of {len(rows)} images")
        numbers[found.layer.name] = _numbers(gallery, found, chosen)
    return Panel(
        title="Strongest patches",
        words=_words(
            gallery,
            rows,
            layers,
            quiet,
            asked=bool(look.units),
            beside=_beside(wished=projections, projected=projected),
        ),
        pictures=pictures,
        columns=2 if projected else 4,
        numbers={"images": len(rows), "layers": numbers},
        source="Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2013, figure 2",
    )


def _layers(subject: Subject, look: Look) -> tuple[MapLayer, ...]:
    if look.layer is not None:
        return (find_layer(subject, look.layer),)
    ends = stage_ends(subject)
    if look.units or len(ends) == 1:
        return (ends[-1],)
    return ends[(len(ends) - 1) // 2], ends[-1]


def _picture(
    subject: Subject, gallery: Gallery, found: Responses, unit: UnitPatches, name: str, *, projected: bool
) -> Picture:
    patches = [sized(in_colours(cut(gallery.pixels(patch.row), patch.window)), _SIDE) for patch in unit.patches]
    sheets = [contact_sheet(patches, _COLUMNS)]
    if projected:
        signals = project(subject, gallery, found.layer.name, unit)
        tiles = [_tile(signal, patch) for signal, patch in zip(signals, unit.patches, strict=True)]
        sheets.append(contact_sheet(tiles, _COLUMNS))
    best = unit.patches[0]
    return Picture(
        pixels=contact_sheet(sheets, 2, gap=10),
        name=name,
        caption=f"unit {unit.unit} of layer '{found.layer.name}': at most {best.value:.3g}, on "
        f"{gallery.names[best.row]}{_truths(gallery, unit.patches)}",
    )


def _tile(signal: Tensor, patch: Patch) -> NDArray[np.uint8]:
    window = patch.window
    seen = signal[:, window.top : window.bottom, window.left : window.right]
    return sized(signal_picture(seen), _SIDE)


def _truths(gallery: Gallery, patches: Sequence[Patch]) -> str:
    truths = [gallery.truth(patch.row) for patch in patches if gallery.truth(patch.row)]
    counts = sorted({truth: truths.count(truth) for truth in truths}.items(), key=lambda item: (-item[1], item[0]))
    return f"; {', '.join(f'{count} {truth}' for truth, count in counts[:3])}" if counts else ""


def _numbers(gallery: Gallery, found: Responses, chosen: Sequence[UnitPatches]) -> dict[str, object]:
    asleep = int((found.values.max(axis=0) <= 0).sum())
    units = [
        {
            "unit": unit.unit,
            "patches": [
                {
                    "image": gallery.names[patch.row],
                    "value": patch.value,
                    "place": list(patch.place),
                    "rows": [patch.window.top, patch.window.bottom],
                    "columns": [patch.window.left, patch.window.right],
                }
                for patch in unit.patches
            ],
        }
        for unit in chosen
    ]
    return {"units": units, "never_active": asleep, "maps": found.layer.maps}


def _words(
    gallery: Gallery,
    rows: Sequence[int],
    layers: Sequence[MapLayer],
    quiet: Sequence[str],
    *,
    asked: bool,
    beside: str,
) -> str:
    images = f"all {len(rows)} images" if len(rows) == len(gallery) else f"{len(rows)} of {len(gallery)} images"
    names = " and ".join(f"'{layer.name}'" for layer in layers)
    known = any(gallery.truth(row) for row in rows)
    criterion = "whose answers tell the classes apart most" if known else "whose answers vary most"
    which = "the units asked for" if asked else f"the units {criterion}"
    silence = f" Not shown: {'; '.join(quiet)}." if quiet else ""
    return (
        f"Of layer {names}, {which}: the patches of {images} to which each answers most strongly, at most one an "
        f"image. A patch is all that the unit can see.{beside}{silence}"
    )


def _beside(*, wished: bool, projected: bool) -> str:
    if projected:
        return " Beside them, what of each the unit answers to: its deconvnet projection."
    if wished:
        return (
            " No deconvnet projections stand beside them: the network has no maximum pooling, without whose switches "
            "they are the same for every image."
        )
    return ""


INSTRUMENTS.add(
    "strongest-patches",
    Instrument(
        name="strongest-patches",
        order=30,
        about="for single units, the nine image patches that they answer to most strongly",
        of="network",
        run=_run,
    ),
)
