"""What an instrument shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture.

    Attributes:
        pixels: (H, W) or (H, W, 3) uint8.
        name: of its file, without suffix, unique in the panel: letters, digits, "-" and "_".
        caption: what it shows.
    """

    pixels: NDArray[np.uint8]
    name: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One instrument's part of a page.

    Attributes:
        title: for example "Grad-CAM".
        words: what is shown and how to read it, one to three sentences, with the layer and the settings used.
        pictures: in reading order.
        columns: how many of the pictures stand side by side where there is room; 0 = as many as fit.
        charts: <svg> elements.
        table: (columns, rows) of text; None = none.
        numbers: what was measured, plain JSON values.
        source: the paper, for readers.
    """

    title: str
    words: str
    pictures: Sequence[Picture] = ()
    columns: int = 0
    charts: Sequence[Markup] = ()
    table: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
