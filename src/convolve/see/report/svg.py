"""Matplotlib figures as SVG that can stand inside an HTML page, several to a page."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by colour-blind readers and in grey (Wong, Nature Methods 8, 2011, p. 441).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"

_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    # Text stays text: it is searched, copied, and set in the page's own fonts, in any script.
    "svg.fonttype": "none",
    # A class called "$x$" is not a formula.
    "text.parse_math": False,
}


@contextmanager
def chart_style(name: str) -> Iterator[None]:
    """How our charts look; inside, figures are made and turned into SVG.

    Args:
        name: unique in the page; ids inside the SVG derive from it, so that two charts do not share a clip path.
    """
    with mpl.rc_context(_STYLE), mpl.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        # The browser has glyphs that matplotlib's own font lacks; matplotlib only measures with it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
        yield


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes; no pyplot, so nothing global is kept.

    Args:
        width: inches.
        height: inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    axes: Axes = figure.subplots()
    return figure, axes


def to_svg(figure: Figure, description: str) -> Markup:
    """The <svg> element of a figure, with what it shows in words for those who cannot see it."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    label = Markup("<svg role='img' aria-label='{}' ").format(description)
    return Markup(svg.replace("<svg ", label, 1))  # noqa: S704 - matplotlib escapes text itself


def label(text: str, *, longest: int = 24) -> str:
    r"""A name as a chart shows it: on one line, cut where it is long, without control characters.

    >>> label("a\nb"), label("x" * 30)
    ('a�b', 'xxxxxxxxxxxxxxxxxxxxxxx…')
    """
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
