"""Instruments that look into a network, by name: one file each, which registers itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from convolve.progress import Progress, silent
from convolve.registry import Registry
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.panel import Panel


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a user wants to see, the same for all instruments.

    Attributes:
        layer: whose maps to look at, a name within the subject's body; None = each instrument's own choice.
        units: which of its maps; empty = each instrument's own choice, the strongest mostly.
        gallery: images to compare with or search in; None where there are none, and an instrument that needs them
            raises UserError.
        seed: of whatever is drawn.
        progress: told of every part of long work.
    """

    layer: str | None = None
    units: tuple[int, ...] = ()
    gallery: Gallery | None = None
    seed: int = 0
    progress: Progress = silent


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """One way to look.

    Attributes:
        name: for example "grad-cam".
        order: of its panel on a page, ascending.
        about: one line: what it shows.
        of: what it looks at: the "network" alone (with the gallery, perhaps), or one "image" with its answer.
        run: `run(subject, look, **options) -> Panel` of a network, `run(subject, question, look, **options) -> Panel`
            of an image; its keyword-only parameters with a default are the options a user may set. Raises UserError
            where it cannot work, with why and what can.
    """

    name: str
    order: int
    about: str
    of: Literal["network", "image"]
    run: Callable[..., Panel]


INSTRUMENTS: Registry[Instrument] = Registry("instrument", "convolve.see.inside.instruments")
