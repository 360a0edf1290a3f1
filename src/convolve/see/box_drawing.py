"""Boxes over an image, as SVG: lines that stay sharp at any size, told apart without colour, words at the pointer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from convolve.see.overlays import fitted_hw, shrink_image
from convolve.see.report.thumbnails import data_uri

Kind: TypeAlias = Literal["found", "false alarm", "missed", "ignored", "annotated"]

_COLOURS: dict[Kind, str] = {
    "found": "#00D084",
    "false alarm": "#FF4B3E",
    "missed": "#FFD400",
    "ignored": "#C8C8C8",
    "annotated": "#00D084",
}
# Pixels on and off; without any the line is solid. Ends are square: browsers differ in round ones.
_DASHES: dict[Kind, str] = {"false alarm": "7 4", "missed": "3 3", "ignored": "9 4 3 4"}
# Dots are larger than lines are wide, or they would not be seen.
_WIDE, _DOTS, _RIM = 2.0, 3.0, 1.6
_SIDE = 480
_LETTERS = 11.5
"""Height of labels as they are seen, pixels, where a picture is about `_SEEN` wide."""
_SEEN = 320
# Above so many boxes only what went wrong has a label, or labels would hide the image; the pointer still shows all.
_MOST_LABELLED = 12


@dataclass(frozen=True, slots=True)
class BoxMark:
    """A box to draw.

    Attributes:
        corners: left, top, right, bottom in pixels of the image, continuous.
        kind: "found": a detection that is right; "false alarm": one that is not, duplicates and wrong classes included;
            "missed": an annotated object that none found; "ignored": a detection or an annotation that counts nowhere;
            "annotated": an object as a person drew it.
        label: its class.
        probability: of a detection, in [0, 1]; None for an annotation.
        colour: red, green and blue, 0..255, instead of the kind's own.
        note: more to tell, for example "IoU 0.42 with a platelet".
    """

    corners: tuple[float, float, float, float]
    kind: Kind
    label: str
    probability: float | None = None
    colour: tuple[int, int, int] | None = None
    note: str = ""

    @property
    def words(self) -> str:
        """What the box says: its kind, class, probability and note."""
        told = [f"{self.kind}: {self.label}"]
        if self.probability is not None:
            told.append(f"{self.probability:.2f}")
        return ", ".join([*told, self.note] if self.note else told)


@dataclass(frozen=True, slots=True)
class BoxPicture:
    """An image and the boxes on it.

    Attributes:
        name: of the image in its data set.
        image: (H, W, 3) uint8, RGB.
        marks: what to draw, the last on top.
    """

    name: str
    image: NDArray[np.uint8]
    marks: tuple[BoxMark, ...]


def drawn(picture: BoxPicture, *, side: int = _SIDE, labels: bool = True) -> Markup:
    """An image with its boxes as an <svg> element that asks for no file.

    Args:
        picture: what to draw; names in it may hold anything.
        side: the image's longer side is shrunk to this many pixels; boxes stay sharp at any size.
        labels: whether classes are written beside boxes; where they would lie on each other the later is left out, and
            where there are many boxes those that are right have none. The pointer always shows them.
    """
    height, width = picture.image.shape[:2]
    small = shrink_image(picture.image, fitted_hw((height, width), side))
    parts = [_frame(mark) for mark in picture.marks]
    if labels:
        parts += _labels(picture.marks, width, height)
    # Numbers of the view are those of the image, so that a box's corners are its own.
    return Markup(
        '<svg class="boxes" role="img" aria-label="{words}" viewBox="0 0 {width} {height}">'
        '<image href="{uri}" width="{width}" height="{height}" preserveAspectRatio="none"></image>{parts}</svg>'
    ).format(
        words=f"{picture.name}: {in_words(picture.marks)}",
        width=width,
        height=height,
        uri=data_uri(small, shrunk=False),
        parts=Markup("").join(parts),
    )


def in_words(marks: Sequence[BoxMark]) -> str:
    """How many boxes of each kind there are, in words; for who cannot see them.

    >>> in_words([BoxMark((0, 0, 1, 1), "found", "cell"), BoxMark((0, 0, 1, 1), "missed", "cell")])
    '1 found, 1 missed'
    >>> in_words([])
    'no boxes'
    """
    counts = {kind: sum(mark.kind == kind for mark in marks) for kind in _COLOURS}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "no boxes"


def key(kind: Kind) -> Markup:
    """A box of a kind as a legend shows it."""
    return Markup('<svg class="key" viewBox="0 0 30 16" aria-hidden="true">{}</svg>').format(
        _lines((3, 3, 27, 13), kind, _COLOURS[kind])
    )


def cut_out(picture: BoxPicture, place: int, *, context: float = 0.6, least: float = 24.0) -> BoxPicture:
    """One box of an image with what is around it, and the other boxes that show there.

    Args:
        picture: the whole image.
        place: which of its marks.
        context: how much around the box on every side, in shares of its longer side.
        least: the piece has at least this side, pixels.

    Returns:
        A square piece, moved into the image at its border and smaller where the image is; the chosen mark is the last,
        on top.
    """
    height, width = picture.image.shape[:2]
    chosen = picture.marks[place]
    x0, y0, x1, y1 = chosen.corners
    side = max(least, max(x1 - x0, y1 - y0) * (1 + 2 * context))
    left, right = _span((x0 + x1) / 2, side, width)
    top, bottom = _span((y0 + y1) / 2, side, height)
    others = [mark for number, mark in enumerate(picture.marks) if number != place]
    seen = [mark for mark in others if _meets(mark.corners, (left, top, right, bottom))]
    moved = tuple(_moved(mark, left, top) for mark in [*seen, chosen])
    return BoxPicture(picture.name, picture.image[top:bottom, left:right].copy(), moved)


def _span(middle: float, side: float, length: int) -> tuple[int, int]:
    """From where to where a piece of some side lies, whole pixels within an image of some length."""
    size = min(length, max(1, round(side)))
    first = min(max(0, round(middle - size / 2)), length - size)
    return first, first + size


def _meets(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _moved(mark: BoxMark, left: int, top: int) -> BoxMark:
    x0, y0, x1, y1 = mark.corners
    return replace(mark, corners=(x0 - left, y0 - top, x1 - left, y1 - top))


def _frame(mark: BoxMark) -> Markup:
    return Markup("<g><title>{}</title>{}</g>").format(mark.words, _lines(mark.corners, mark.kind, _colour_of(mark)))


def _lines(corners: tuple[float, float, float, float], kind: Kind, colour: str) -> Markup:
    """A rectangle in its colour on a dark one: one of the two is seen on any image."""
    x0, y0, x1, y1 = corners
    wide = _DOTS if kind == "missed" else _WIDE
    place = Markup('x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"').format(x0, y0, x1 - x0, y1 - y0)
    dashed = Markup(' stroke-dasharray="{}"').format(_DASHES[kind]) if kind in _DASHES else ""
    line = Markup(
        '<rect {place} fill="none" stroke="{colour}" stroke-width="{wide:.1f}"{more} '
        'vector-effect="non-scaling-stroke"></rect>'
    )
    under = Markup(' stroke-opacity="0.5"')
    return line.format(place=place, colour="#000000", wide=wide + _RIM, more=under + dashed) + line.format(
        place=place, colour=colour, wide=wide, more=dashed
    )


def _labels(marks: Sequence[BoxMark], width: int, height: int) -> list[Markup]:
    """Class and probability at the top of boxes: above where there is room, else inside; what went wrong first."""
    letters = _LETTERS * width / _SEEN
    wrong = [mark for mark in marks if mark.kind in {"false alarm", "missed"}]
    others = [mark for mark in marks if mark not in wrong] if len(marks) <= _MOST_LABELLED else []
    taken: list[tuple[float, float, float, float]] = []
    labels = []
    for mark in wrong + others:
        words = mark.label if mark.probability is None else f"{mark.label} {mark.probability:.2f}"
        x0, y0, _, _ = mark.corners
        # Bold letters are about two thirds as wide as high.
        long = 0.66 * letters * len(words)
        left = min(max(0.0, x0), max(0.0, width - long))
        base = min(y0 - 0.35 * letters if y0 > 1.4 * letters else y0 + 1.05 * letters, height - 0.2 * letters)
        place = (left, base - letters, left + long, base)
        if not any(_meets(place, other) for other in taken):
            taken.append(place)
            labels.append(_text(words, left, base, letters, _colour_of(mark)))
    return labels


def _text(words: str, left: float, base: float, letters: float, colour: str) -> Markup:
    return Markup(
        '<text x="{:.1f}" y="{:.1f}" font-size="{:.1f}" fill="{}" stroke="#000000" stroke-width="{:.2f}" '
        'paint-order="stroke" stroke-linejoin="round">{}</text>'
    ).format(left, base, letters, colour, 0.22 * letters, words)


def _colour_of(mark: BoxMark) -> str:
    return _COLOURS[mark.kind] if mark.colour is None else "#{:02x}{:02x}{:02x}".format(*mark.colour)
