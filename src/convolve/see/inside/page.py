"""The page of an explanation, and its pictures as files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from convolve.run.files import atomic_path, make_folder
from convolve.see.inside.instruments import Instrument
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.subject import Question
from convolve.see.report.template import write_page

_YELLOW = (255, 220, 0)


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What one instrument found.

    Attributes:
        instrument: which.
        panel: what it shows.
        seconds: what it took.
    """

    instrument: Instrument
    panel: Panel
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """The panels about one thing: the network, or an image.

    Attributes:
        title: a heading.
        slug: its place on the page, and the folder of its pictures: letters, digits, "-", "_", "." and spaces.
        picture: (H, W, 3) uint8, the image as the network sees it, what is asked about outlined; None for the network.
        facts: (name, value) rows.
        looked: the panels, in order.
        left_out: (instrument's name, why).
    """

    title: str
    slug: str
    picture: NDArray[np.uint8] | None = None
    facts: Sequence[tuple[str, str]] = ()
    looked: Sequence[Looked] = ()
    left_out: Sequence[tuple[str, str]] = ()

    def told(self, files: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Plain JSON values: each instrument's numbers and files."""
        return {
            "panels": {
                one.instrument.name: {
                    "seconds": one.seconds,
                    "numbers": dict(one.panel.numbers),
                    "files": list(files.get(one.instrument.name, ())),
                }
                for one in self.looked
            },
            "left_out": dict(self.left_out),
        }


@dataclass(frozen=True, kw_only=True)
class Explained:
    """Everything that an explanation tells.

    Attributes:
        title: of the page.
        command: what makes it again.
        facts: (name, value) rows about the model.
        parts: the images, then the network.
        failed: (image, why) of those that could not be read.
    """

    title: str
    command: str
    facts: Sequence[tuple[str, str]]
    parts: Sequence[Part]
    failed: Sequence[tuple[str, str]] = field(default_factory=tuple)


def outlined(question: Question) -> NDArray[np.uint8]:
    """(H, W, 3) uint8, a question's image with a yellow line around what is asked about."""
    picture = question.picture.copy()
    if question.inside is not None and not question.inside.all():
        picture[binary_dilation(question.inside, np.ones((3, 3), bool)) & ~question.inside] = _YELLOW
    return picture


def write_explained(folder: Path, explained: Explained) -> Path:
    """Write `explained.html`, whole or not at all: one file that asks for no other, without scripts.

    Args:
        folder: made on demand.
        explained: what to tell; names may hold anything.

    Raises:
        UserError: no space is left, or the folder is not the user's to write in.
    """
    make_folder(folder)
    page = folder / "explained.html"
    write_page(page, "explained.html.jinja", explained=explained)
    return page


def write_pictures(folder: Path, part: Part) -> dict[str, list[str]]:
    """Write every picture of a part as PNG, below `folder` / its slug.

    Returns:
        The files by instrument.

    Raises:
        UserError: no space is left, or the folder is not the user's to write in.
    """
    own = folder / part.slug
    files: dict[str, list[str]] = {}
    for one in part.looked:
        for picture in one.panel.pictures:
            make_folder(own)
            path = own / f"{one.instrument.name}-{picture.name}.png"
            _write(path, picture)
            files.setdefault(one.instrument.name, []).append(str(path))
    return files


def _write(path: Path, picture: Picture) -> None:
    with atomic_path(path) as aside:
        Image.fromarray(picture.pixels).save(aside, "PNG")
