"""Boxes drawn on their image, with what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import ImageArray

Colour: TypeAlias = tuple[int, int, int]
Style: TypeAlias = Literal["solid", "dashed", "dotted"]

# Okabe and Ito's palette, told apart by colour-blind readers (Wong, Nature Methods 8, 2011, p. 441); those first that
# stand out most from photographs.
_COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)
_FOUND: Colour = (0, 158, 115)
_FALSE_ALARM: Colour = (213, 94, 0)
_MISSED: Colour = (0, 114, 178)

_SIDE_BY_LINE, _SIDE_BY_TEXT, _SMALLEST_TEXT = 320, 45, 10
_DASHES: dict[Style, tuple[int, int]] = {"dashed": (5, 3), "dotted": (2, 2)}
"""Drawn and left out, in widths of the line."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box as it is drawn.

    Attributes:
        corners: left, top, right, bottom, pixels, continuous.
        text: beside it; empty = none.
        colour: red, green, blue.
        style: of its line.
    """

    corners: tuple[float, float, float, float]
    text: str
    colour: Colour
    style: Style = "solid"


def class_colour(index: int) -> Colour:
    """The colour of a class's boxes; every seventh class has the same."""
    return _COLOURS[index % len(_COLOURS)]


def drawn_detections(detections: Detections, classes: Sequence[str]) -> list[DrawnBox]:
    """Each class in its colour, with its name and the probability."""
    return [
        DrawnBox(corners, _told(classes[label], probability), class_colour(label))
        for corners, label, probability in _rows(detections)
    ]


def found_box(corners: tuple[float, float, float, float], label: str, probability: float) -> DrawnBox:
    """A detection that is right."""
    return DrawnBox(corners, _told(label, probability), _FOUND)


def false_alarm_box(corners: tuple[float, float, float, float], label: str, probability: float) -> DrawnBox:
    """A detection of what is not there, or is something else."""
    return DrawnBox(corners, _told(label, probability), _FALSE_ALARM, "dashed")


def missed_box(corners: tuple[float, float, float, float], label: str) -> DrawnBox:
    """An object that was not found."""
    return DrawnBox(corners, label, _MISSED, "dotted")


def draw_boxes(image: ImageArray, boxes: Sequence[DrawnBox]) -> ImageArray:
    """An image with boxes over it; lines and letters grow with it.

    Args:
        image: (H, W, 3) RGB or (H, W, 1) grey, uint8.
        boxes: the first ones on top of the others.

    Returns:
        (H, W, 3) RGB; the image is left as it was.
    """
    rgb = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    picture = Image.fromarray(rgb)
    pen = _Pen(ImageDraw.Draw(picture), picture.size)
    for box in reversed(boxes):
        pen.outline(box)
    # Behind all lines, so that none crosses a word.
    for box in reversed(boxes):
        pen.label(box)
    return np.asarray(picture)


class _Pen:
    """Draws on one picture of (width, height)."""

    def __init__(self, draw: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
        self._draw = draw
        self._size = size
        self._line = max(1, round(max(size) / _SIDE_BY_LINE))
        self._font = _font(max(_SMALLEST_TEXT, round(max(size) / _SIDE_BY_TEXT)))

    def outline(self, box: DrawnBox) -> None:
        left, top, right, bottom = self._pixels(box)
        horizontal = [
            (left, y, right, min(y + self._line - 1, bottom)) for y in (top, max(top, bottom - self._line + 1))
        ]
        vertical = [(x, top, min(x + self._line - 1, right), bottom) for x in (left, max(left, right - self._line + 1))]
        for side in horizontal:
            for start, stop in self._dashes(left, right, box.style):
                self._draw.rectangle((start, side[1], stop, side[3]), fill=box.colour)
        for side in vertical:
            for start, stop in self._dashes(top, bottom, box.style):
                self._draw.rectangle((side[0], start, side[2], stop), fill=box.colour)

    def label(self, box: DrawnBox) -> None:
        """Above the box; in it, where the picture ends."""
        if not box.text:
            return
        left, top, _, _ = self._pixels(box)
        pad = self._line
        x0, y0, x1, y1 = self._draw.textbbox((0, 0), box.text, font=self._font)
        width, height = x1 - x0 + 2 * pad, y1 - y0 + 2 * pad
        x = max(0.0, min(left, self._size[0] - width))
        y = top - height if top >= height else top
        self._draw.rectangle((x, y, x + width - 1, y + height - 1), fill=box.colour)
        self._draw.text((x + pad - x0, y + pad - y0), box.text, font=self._font, fill=_ink(box.colour))

    def _pixels(self, box: DrawnBox) -> tuple[int, int, int, int]:
        """First and last pixels of a box, within the picture."""
        width, height = self._size
        left, top, right, bottom = box.corners
        x, y = min(max(round(left), 0), width - 1), min(max(round(top), 0), height - 1)
        return x, y, max(x, min(round(right), width) - 1), max(y, min(round(bottom), height) - 1)

    def _dashes(self, start: int, stop: int, style: Style) -> list[tuple[int, int]]:
        if style == "solid":
            return [(start, stop)]
        drawn, left_out = (number * self._line for number in _DASHES[style])
        return [(at, min(at + drawn - 1, stop)) for at in range(start, stop + 1, drawn + left_out)]


def _rows(detections: Detections) -> list[tuple[tuple[float, float, float, float], int, float]]:
    labels, probabilities = detections.labels.tolist(), detections.probabilities.tolist()
    return [
        ((corners[0], corners[1], corners[2], corners[3]), label, probability)
        for corners, label, probability in zip(detections.corners.tolist(), labels, probabilities, strict=True)
    ]


def _told(label: str, probability: float) -> str:
    return f"{label} {probability:.2f}"


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _ink(background: Colour) -> Colour:
    """Black or white, whichever is read more easily on it (relative luminance, ITU-R BT.709, gamma left out)."""
    luminance = 0.2126 * background[0] + 0.7152 * background[1] + 0.0722 * background[2]
    return (0, 0, 0) if luminance > 115 else (255, 255, 255)
