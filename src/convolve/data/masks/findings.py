"""What an inspection of masks finds, as plain values for terminals, pages and JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal

import tomlkit

from convolve.data.dataset import MaskCoding, Problem
from convolve.data.findings import Inspection
from convolve.data.masks.coding import Value, plain
from convolve.data.masks.values import hexadecimal

NARROW = 8
"""Pixels: one cell of the finest scores that a fully convolutional network with skips adds up (FCN-8s)."""

_EN_DASH = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class ClassPixels:
    """One class in all masks that can be read.

    Attributes:
        name: of the class.
        colour: red, green and blue in pictures, 0..255.
        values: the values or colours of files that mean it, in words.
        pixels: by split, `NO_SPLIT` where images are assigned to none.
        images: that show it, by split.
        share: of all pixels that have a class.
        objects: connected regions of it, diagonal neighbours included, in the masks that were sampled.
        median_area: of those, pixels; None where there are none.
        narrow_share: the share of their pixels in parts narrower than `NARROW`, where no square of that side fits; None
            where there are none.
    """

    name: str
    colour: tuple[int, int, int]
    values: str
    pixels: dict[str, int]
    images: dict[str, int]
    share: float
    objects: int
    median_area: float | None
    narrow_share: float | None


@dataclass(frozen=True, slots=True)
class MaskInspection:
    """All that was found.

    Attributes:
        files: the images: sizes, copies, broken ones. Its `counts` are images that show each class.
        kind: what files hold: "index" (numbers) or "colour".
        ignored_values: values or colours that were declared to count nowhere, in words.
        classes: one by one, in order.
        pixels: of all masks that can be used, by split.
        ignored_share: of them, declared or not.
        undeclared: the share of values that no class has, by value in words; the most frequent first.
        undeclared_images: masks with such values.
        all_ignored: names of images in whose masks nothing counts.
        broken: masks that cannot be used, for example since they have another size than their image.
        sampled: masks whose connected regions were counted.
        recipe: lines of TOML that declare what the values mean; empty where the format itself names the classes.
        advice: short sentences, what matters most first.
    """

    files: Inspection
    kind: Literal["index", "colour"]
    ignored_values: tuple[str, ...]
    classes: tuple[ClassPixels, ...]
    pixels: dict[str, int]
    ignored_share: float
    undeclared: dict[str, float]
    undeclared_images: int
    all_ignored: tuple[str, ...]
    broken: tuple[Problem, ...]
    sampled: int
    recipe: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that have pixels."""
        return tuple(self.pixels)

    def share_in(self, found: ClassPixels, split: str) -> float | None:
        """A class's share of the pixels of a split that have a class; None where none has one."""
        counted = sum(other.pixels.get(split, 0) for other in self.classes)
        return found.pixels.get(split, 0) / counted if counted else None

    def as_json(self) -> dict[str, Any]:
        """Everything as plain dicts, lists, strings and finite numbers, as `json.loads` gives it back."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return plain


def value_word(value: Value) -> str:
    """A value as a recipe has it.

    >>> value_word(7), value_word((60, 16, 152))
    ('7', '#3c1098')
    """
    return str(value) if isinstance(value, int) else hexadecimal(plain(value))


def values_in_words(values: Iterable[Value]) -> str:
    """Several values, consecutive numbers as a range.

    >>> values_in_words([0]), values_in_words(range(1, 256)), values_in_words([1, 2, 9]), values_in_words([(0, 0, 0)])
    ('0', '1–255', '1, 2, 9', '#000000')
    """
    listed = list(values)
    numbers = sorted(value for value in listed if isinstance(value, int))
    words = [value_word(value) for value in listed if not isinstance(value, int)]
    for _, run in groupby(enumerate(numbers), key=lambda item: item[1] - item[0]):
        members = [number for _, number in run]
        if len(members) < 3:
            words += map(str, members)
        else:
            words.append(f"{members[0]}{_EN_DASH}{members[-1]}")
    return ", ".join(words)


def recipe_lines(coding: MaskCoding, classes: Sequence[str]) -> tuple[str, ...]:
    """The lines of a recipe that declare a coding, so that it need not be found out again.

    Args:
        coding: of masks that are files or arrays.
        classes: K names.
    """
    binary = coding.kind == "index" and len(classes) == 2 and len(coding.values[1]) > 1
    settings: dict[str, Any] = {"coding": "binary" if binary else coding.kind, "classes": list(classes)}
    if not binary and all(len(values) == 1 for values in coding.values):
        settings["values"] = [_plain(values[0]) for values in coding.values]
    if coding.ignored and not binary:
        settings["ignore"] = [_plain(value) for value in coding.ignored]
    return tuple(f"masks.{key} = {tomlkit.item(value).as_string()}" for key, value in settings.items())


def _plain(value: Value) -> int | str:
    return value if isinstance(value, int) else value_word(value)
