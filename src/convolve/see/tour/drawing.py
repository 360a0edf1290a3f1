"""Charts for the tour: matplotlib's, in colours that the page sets for light and for dark ground."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure as Chart

from convolve.see.report.svg import BLUE, GREEN, GREY, ORANGE, chart_style, to_svg

WIDTH = 4.6
"""Inches: the widest that a chart may be, so that its letters can still be read on a telephone."""

INK, PURPLE, LINE, GROUND = "#111111", "#CC79A7", "#E4E4E4", "#FEFEFE"

_STYLE: Any = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
}
# What stands in a chart, and the style sheet's name for it.
_VARIABLES = {
    INK: "--ink",
    GREY: "--soft",
    LINE: "--line",
    GROUND: "--ground",
    BLUE: "--blue",
    ORANGE: "--orange",
    GREEN: "--green",
    PURPLE: "--purple",
}
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r"""(?:url\(|href=")#([^")]*)""")


@contextmanager
def tour_style(name: str) -> Iterator[None]:
    """How charts of the tour look; inside, figures are made and turned into SVG by `themed`.

    Draw with the colours INK, LINE, PURPLE, GROUND of this module and BLUE, ORANGE, GREEN, GREY of
    `convolve.see.report.svg`, at most `WIDTH` inches wide; others are not changed on dark ground.

    Args:
        name: unique on the page.
    """
    with chart_style(name), mpl.rc_context(_STYLE):
        yield


def themed(chart: Chart, description: str) -> Markup:
    """The <svg> element of a chart, its colours the page's variables.

    Args:
        chart: made within `tour_style`.
        description: what it shows, for those who cannot see it.
    """
    return with_variables(_without_unused_ids(to_svg(chart, description)))


def _without_unused_ids(svg: Markup) -> Markup:
    """Matplotlib numbers its groups anew in every chart, while an id may stand on a page once."""
    used = set(_REFERENCE.findall(svg))
    return Markup(_ID.sub(lambda found: found[0] if found[1] in used else "", svg))  # noqa: S704 - ids were taken out


def with_variables(svg: Markup) -> Markup:
    """An <svg> element with the palette's colours as the page's variables, in styles; drawn by hand as well."""
    text = str(svg)
    for colour, variable in _VARIABLES.items():
        for spelling in {colour, colour.lower(), colour.upper()}:
            text = text.replace(spelling, f"var({variable})")
    return Markup(text)  # noqa: S704 - only colours were replaced
