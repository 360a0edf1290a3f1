"""Matrices as grids of numbers, with windows marked: what a student checks by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from convolve.see.report.svg import GREY
from convolve.see.tour.drawing import INK


@dataclass(frozen=True)
class Window:
    """A marked rectangle of cells.

    Attributes:
        row: of its first cell.
        column: of its first cell.
        hw: cells down and across.
        colour: of the palette.
    """

    row: int
    column: int
    hw: tuple[int, int]
    colour: str


def draw_numbers(
    axes: Axes, values: ArrayLike, *, title: str = "", windows: Sequence[Window] = (), size: float = 10
) -> None:
    """Draw a matrix as a grid of numbers, cells square, row 0 at the top.

    Args:
        axes: everything else about it is switched off.
        values: (H, W) numbers; a cell that is NaN stays empty.
        title: above the grid.
        windows: what to mark.
        size: of the numbers, points.
    """
    matrix = np.asarray(values, dtype=np.float64)
    height, width = matrix.shape
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-0.06, width + 0.06)
    axes.set_ylim(height + 0.06, -0.06)
    axes.set_title(title, fontsize=10)
    for window in windows:
        place, (down, across) = (window.column, window.row), window.hw
        axes.add_patch(Rectangle(place, across, down, facecolor=window.colour, alpha=0.25, linewidth=0))
    axes.vlines(range(width + 1), 0, height, colors=GREY, linewidth=0.5)
    axes.hlines(range(height + 1), 0, width, colors=GREY, linewidth=0.5)
    for window in windows:
        place, (down, across) = (window.column, window.row), window.hw
        axes.add_patch(Rectangle(place, across, down, facecolor="none", edgecolor=window.colour, linewidth=1.8))
    for row, column in np.argwhere(~np.isnan(matrix)):
        number = "¼" if matrix[row, column] == 0.25 else f"{matrix[row, column]:g}"
        axes.text(column + 0.5, row + 0.5, number, ha="center", va="center", fontsize=size, color=INK)
