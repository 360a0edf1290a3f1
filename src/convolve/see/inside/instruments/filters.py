"""First-layer filters."""

from typing import Annotated

from pydantic import Field

from convolve.see.inside.contact_sheet import contact_sheet, sized
from convolve.see.inside.filters import Filters, first_filters
from convolve.see.inside.heat import stretched
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.subject import Subject

_SMALL_SIDE, _LARGE_SIDE, _COLUMNS = 42, 84, 12


def _run(subject: Subject, look: Look, *, at_most: Annotated[int, Field(ge=1, le=256)] = 96) -> Panel:
    """The first layer's kernels.

    Args:
        subject: of any task.
        look: its layer and units are not asked.
        at_most: filters that are shown, the first ones.
    """
    filters = first_filters(subject)
    shown = filters.kernels[:at_most]
    side = _SMALL_SIDE if filters.kind == "convolution" else _LARGE_SIDE
    tiles = []
    for kernel in shown:
        tile = stretched(kernel)
        tiles.append(sized(tile[..., 0] if tile.shape[2] == 1 else tile, side))
    silent = int((filters.kernels.abs().amax(dim=(1, 2, 3)) == 0).sum())
    sheet = Picture(
        pixels=contact_sheet(tiles, _COLUMNS, gap=4),
        name="filters",
        caption=f"{len(shown)} of {len(filters.kernels)} filters of layer '{filters.layer}', in their order",
    )
    return Panel(
        title="First-layer filters",
        words=_words(filters, silent),
        pictures=[sheet],
        columns=1,
        numbers={"layer": filters.layer, "filters": len(filters.kernels), "all_zero": silent},
        source="Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2013, section 4",
    )


def _words(filters: Filters, silent: int) -> str:
    height, width = filters.kernels.shape[2:]
    size = f"{height} x {width} pixels"
    if filters.kind == "convolution":
        what = f"The kernels of the first convolution, '{filters.layer}', {size} each"
    else:
        what = f"There is no convolution; the weights of each unit of '{filters.layer}', laid out as the image, {size}"
    channels = (
        "; of its input channels the one with the largest weights is shown" if filters.channel is not None else ""
    )
    signs = (
        "Middle grey is a weight of 0, brighter is positive, darker negative, each stretched to its own largest weight."
    )
    reading = "Edges and blobs of colour are what a trained layer shows; noise says that it was trained little."
    none = f" {silent} are 0 everywhere." if silent else ""
    return f"{what}{channels}. {signs} {reading}{none}"


INSTRUMENTS.add(
    "filters",
    Instrument(
        name="filters",
        order=10,
        about="the first layer's kernels as pictures: which edges and colours it looks for",
        of="network",
        run=_run,
    ),
)
