"""YOLO's label files: a line for each object, a class's number and shares of the image's width and height."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from convolve.data.boxes.checking import Corners
from convolve.data.reading import list_lines
from convolve.errors import UserError

_LINE = re.compile(rb"\s*\d+(?:\.0*)?(?:\s+[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?){4,}\s*")
_START_BYTES = 4096


@dataclass(frozen=True, slots=True)
class YoloObject:
    """One object.

    Attributes:
        number: its class's.
        corners: of its box, as shares of the image's width and height.
        line: where it stands in the file.
    """

    number: int
    corners: Corners
    line: int


def is_labels(file: Path) -> bool:
    """Whether a file's first line that is not blank is an object's."""
    with file.open("rb") as opened:
        start = opened.read(_START_BYTES).lstrip()
    return bool(start) and _LINE.fullmatch(start.splitlines()[0]) is not None


def read_labels(file: Path, *, called: str) -> list[YoloObject]:
    """The objects in a file: `class cx cy w h`, or `class x y x y x y ...`, whose box is that of the polygon.

    Raises:
        UserError: it is not text, a line is neither, or a class's number is none.
    """
    objects = []
    for number, line in enumerate(list_lines(file, called=called), start=1):
        if cells := line.split():
            objects.append(_object(cells, f"{called}, line {number}", number))
    return objects


def _object(cells: list[str], where: str, line: int) -> YoloObject:
    try:
        number, *shares = (float(cell) for cell in cells)
    except ValueError:
        raise _no_object(where, "it is not numbers alone") from None
    if not math.isfinite(number) or number != int(number):
        raise _no_object(where, f"'{cells[0]}' is no class's number")
    if len(shares) == 4:
        x, y, width, height = shares
        return YoloObject(int(number), (x - width / 2, y - height / 2, x + width / 2, y + height / 2), line)
    if len(shares) < 6 or len(shares) % 2:
        raise _no_object(where, f"{len(cells)} numbers are neither a box nor a polygon")
    if not all(map(math.isfinite, shares)):
        raise _no_object(where, "a coordinate is not finite")
    xs, ys = shares[::2], shares[1::2]
    return YoloObject(int(number), (min(xs), min(ys), max(xs), max(ys)), line)


def _no_object(where: str, fault: str) -> UserError:
    return UserError(f"{where}: {fault}", "A line must be: class cx cy w h, or class and a polygon's x y x y x y ...")
