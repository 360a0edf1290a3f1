"""Many small pictures as one."""

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_GROUND = 255
_LABEL_HEIGHT, _LABEL_SIZE = 14, 11


def contact_sheet(pictures: Sequence[NDArray[np.uint8]], columns: int, gap: int = 2) -> NDArray[np.uint8]:
    """Pictures side by side on white, row by row; smaller ones in the middle of their place.

    Args:
        pictures: at least one, each (H, W) or (H, W, 3) uint8, of any sizes.
        columns: pictures of a row.
        gap: white pixels between two pictures; none around the sheet.

    Returns:
        (H, W, 3) uint8.
    """
    columns = min(columns, len(pictures))
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    rows = ceil(len(pictures) / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), _GROUND, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top = row * (height + gap) + (height - picture.shape[0]) // 2
        left = column * (width + gap) + (width - picture.shape[1]) // 2
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = in_colours(picture)
    return sheet


def in_colours(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) or (H, W, C) as (H, W, 3): of more than three bands the first three, of two the first."""
    deep = picture[..., None] if picture.ndim == 2 else picture
    deep = deep[..., :3] if deep.shape[2] >= 3 else deep[..., :1]
    return np.ascontiguousarray(np.broadcast_to(deep, (*deep.shape[:2], 3)))


def sized(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture whose longer side is about so many pixels: whole copies of each pixel, or means of several.

    Args:
        picture: (H, W) or (H, W, 3).
        side: not exceeded.
    """
    longest = max(picture.shape[:2])
    if longest <= side:
        factor = side // longest
        return picture.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = (max(1, round(length * side / longest)) for length in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def labelled(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A picture with a short line above it, black on white; what does not fit its width is cut off.

    Returns:
        (H + 14, W, 3) uint8.
    """
    canvas = Image.new("RGB", (picture.shape[1], picture.shape[0] + _LABEL_HEIGHT), "white")
    canvas.paste(Image.fromarray(in_colours(picture)), (0, _LABEL_HEIGHT))
    ImageDraw.Draw(canvas).text((0, 0), text, fill="black", font=ImageFont.load_default(_LABEL_SIZE))
    return np.asarray(canvas)
