"""What goes wrong with masks most often, recognised by their values, with the line of a recipe that mends it."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from convolve.data.dataset import Dataset, Sample
from convolve.data.decoding import BrokenImage
from convolve.data.masks.scan import Census, MaskScan
from convolve.data.rasters import describe_raster
from convolve.errors import UserError, shown

MOST_CLASSES = 254
"""Decoded masks are bytes, of which two are taken."""

_BLACK_AND_WHITE = {0, 255}
_MOSTLY = 0.8
_NEAR = 16
_LIGHT = 128
_SHADES = 3


def check_sizes(dataset: Dataset, scans: Sequence[MaskScan]) -> None:
    """Compare each mask's size with its upright image's, from the headers; images that cannot be read are left alone.

    Raises:
        UserError: some differ; which, and how many.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        sizes = list(threads.map(_image_hw, dataset.samples))
    wrong = [
        f"{sample.name} has {hw[1]} x {hw[0]} pixels and its mask {scan.hw[1]} x {scan.hw[0]}"
        for sample, scan, hw in zip(dataset.samples, scans, sizes, strict=True)
        if hw is not None and hw != scan.hw
    ]
    if wrong:
        raise UserError(
            f"{dataset.name}: {len(wrong):,} of {len(scans):,} masks differ in size from their image: {shown(wrong)}",
            "Bring masks to their images' size without blending (nearest neighbour), or leave these images out.",
        )


def check_alpha(census: Census, where: str) -> None:
    """See that masks show something.

    Raises:
        UserError: they are black wherever they are not transparent, so the classes must be in the alpha channel.
    """
    if any(scan.transparent for scan in census.scans) and set(census.colours) <= {0}:
        raise UserError(
            f"{where}: the masks are black all over; what differs is their transparency (alpha channel)",
            "Save that channel as the mask (ImageMagick: mogrify -alpha extract *.png), then masks.coding=binary",
        )


def has_soft_edges(census: Census) -> bool:
    """Whether the masks are black and white with shades between: smoothed by a drawing program, or saved as JPEG.

    Numbers of classes fill a range from 0; shades are strewn up to white.
    """
    numbers = census.numbers
    shades = [value for value in numbers if 0 < value < 255]
    if max(numbers) > 255 or not any(value >= _LIGHT for value in shades):
        return False
    total = numbers.total()
    if {value for value, _ in numbers.most_common(2)} == _BLACK_AND_WHITE:
        return sum(numbers[value] for value in _BLACK_AND_WHITE) >= _MOSTLY * total
    near = sum(pixels for value, pixels in numbers.items() if value <= _NEAR or value >= 255 - _NEAR)
    light = sum(value >= 3 * 64 for value in shades)
    return near >= _MOSTLY * total and light >= _SHADES and len(shades) - light >= _SHADES


def soft_edges(census: Census, where: str) -> UserError:
    """The error for shades where classes are expected."""
    shades = len(census.numbers)
    return UserError(
        f"{where}: masks with soft edges: most pixels are black or white, but there are {shades:,} shades",
        "Take all from 128 for foreground with masks.coding=binary; or save masks as PNG, without smoothing.",
    )


def black_and_white(where: str, names: Sequence[str], source: str) -> UserError:
    """The error for 0/255 masks that are taken for numbers of classes."""
    told = f", but {source} names {len(names):,} classes" if names else ": as numbers of classes that leaves one class"
    return UserError(
        f"{where}: the masks hold only the values 0 and 255{told}",
        'If 255 is the foreground: masks.coding=binary masks.classes=["background", "foreground"]',
    )


def beyond_names(census: Census, where: str, names: Sequence[str], source: str) -> UserError:
    """The error for values above the number of names: off by one, or names missing."""
    numbers = {value for value in census.numbers if value != 255}
    count = len(names)
    one_based = f"masks.values=[{', '.join(str(value) for value in range(1, count + 1))}]"
    if min(numbers) >= 1 and max(numbers) == count:
        return UserError(
            f"{where}: the masks' values run from 1 to {count}, and the {count} classes of {source} count from 0",
            f"Count from 1: {one_based}",
        )
    beyond = sorted(value for value in numbers if not 0 <= value < count)
    share = sum(census.numbers[value] for value in beyond) / census.pixels
    start = f"If 0 has no class: {one_based}. Otherwise name" if max(numbers) == count else "Name"
    return UserError(
        f"{where}: values {shown(map(str, beyond))} ({share:.1%} of pixels) have no class: {source} names {count}, for "
        f"0 to {count - 1}",
        f"{start} all classes in masks.classes, or ignore values: masks.ignore=[{shown(map(str, beyond), at_most=9)}]",
    )


def too_many_values(where: str, count: int, what: str) -> UserError:
    """The error for masks of more values than there can be classes."""
    return UserError(
        f"{where}: the masks hold {count:,} {what} or more; there can be {MOST_CLASSES} classes",
        "If these number objects, or come from smoothing or JPEG: save masks with one value for each class.",
    )


def nothing_to_tell_apart(where: str, what: str) -> UserError:
    """The error where all masks are of one class."""
    return UserError(
        f"{where}: {what}: there is nothing to tell apart",
        "Look at a mask's values and say what they mean: masks.coding, masks.values, masks.classes, masks.ignore",
    )


def _image_hw(sample: Sample) -> tuple[int, int] | None:
    try:
        return describe_raster(sample.image).hw
    except BrokenImage:
        return None
