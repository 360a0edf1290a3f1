"""Colours for classes that have none of their own."""

import colorsys

from convolve.data.masks.values import Colour

_OKABE_ITO: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_GOLDEN_SECTION = 0.618034
# Neighbours in a list differ in lightness too, which every kind of colour vision sees.
_LIGHTNESS = (0.35, 0.75, 0.5, 0.25, 0.62)
_SATURATION = (0.9, 0.45, 0.65)


def class_colours(count: int) -> tuple[Colour, ...]:
    """Distinct colours, the same for every data set; none is black, grey or white.

    The first seven can be told apart with any common form of colour blindness.

    Args:
        count: how many, 0..254.

    Source: M. Okabe and K. Ito, "Color Universal Design" (2008), for the first seven without black.
    """
    colours = list(_OKABE_ITO[:count])
    turn = 0
    while len(colours) < count:
        hue = turn * _GOLDEN_SECTION % 1
        lightness, saturation = _LIGHTNESS[turn % len(_LIGHTNESS)], _SATURATION[turn % len(_SATURATION)]
        red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, saturation))
        if (red, green, blue) not in colours:
            colours.append((red, green, blue))
        turn += 1
    return tuple(colours)
