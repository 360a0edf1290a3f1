"""Ways to do something as rows of boxes: what each rung of a ladder takes over, and what it replaces."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure as Chart
from matplotlib.patches import FancyBboxPatch

from convolve.see.report.svg import GREY, ORANGE
from convolve.see.tour.drawing import INK, WIDTH, themed, tour_style


@dataclass(frozen=True)
class Part:
    """A box of a scheme.

    Attributes:
        words: what it is, lines broken by newlines.
        new: whether it takes the place of something of the row above.
    """

    words: str
    new: bool = False


def draw_scheme(name: str, rows: Sequence[tuple[str, Sequence[Part]]], *, description: str) -> Markup:
    """Rows of boxes joined by arrows; what is new in a row is marked.

    Args:
        name: unique on the page.
        rows: (the way's name, its parts from the image to the answer).
        description: what it shows, for those who cannot see it.
    """
    with tour_style(name):
        chart = Chart(figsize=(WIDTH, 0.82 * len(rows)))
        axes = chart.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(-0.82 * len(rows), 0)
        for number, (title, parts) in enumerate(rows):
            top = -0.82 * number
            axes.text(0.04, top - 0.04, title, fontsize=10, fontweight="bold", color=INK, va="top")
            pitch = (WIDTH - 0.06) / len(parts)
            middle, width = top - 0.5, pitch - 0.2
            for place, part in enumerate(parts):
                left = 0.06 + place * pitch
                colour = ORANGE if part.new else GREY
                box = FancyBboxPatch(
                    (left, middle - 0.2),
                    *(width, 0.4),
                    boxstyle="round,pad=0.02",
                    facecolor=colour,
                    edgecolor=colour,
                    alpha=0.22,
                )
                axes.add_patch(box)
                axes.text(left + width / 2, middle, part.words, fontsize=8.5, color=INK, ha="center", va="center")
                if place:
                    arrow = {"arrowstyle": "->", "color": GREY, "linewidth": 1.0}
                    axes.annotate("", (left - 0.02, middle), (left - 0.2, middle), arrowprops=arrow)
        return themed(chart, description)
