"""What was found in masks, for a terminal: a table and a few lines."""

from collections.abc import Iterator

from convolve.data.masks.findings import NARROW, MaskInspection
from convolve.errors import shown

_DASH = "\N{EN DASH}"


def class_table(found: MaskInspection) -> tuple[list[str], list[list[str]]]:
    """(columns, rows) of the classes: their share of the pixels that have a class, by split, and their regions."""
    splits = list(found.splits) if len(found.splits) > 1 else []
    columns = ["class", "value", *splits, "all", "images", "regions", "median area", f"under {NARROW} px"]
    rows = [
        [
            one.name,
            one.values,
            *(_percent(found.share_in(one, split)) for split in splits),
            _percent(one.share),
            f"{sum(one.images.values()):,}",
            f"{one.objects:,}",
            _DASH if one.median_area is None else f"{one.median_area:,.0f}",
            _percent(one.narrow_share),
        ]
        for one in found.classes
    ]
    return columns, rows


def lines(found: MaskInspection) -> Iterator[str]:
    """What stands beneath the table: what is ignored, what was unknown, and how to declare the coding."""
    declared = f" (declared: {shown(found.ignored_values)})" if found.ignored_values else ""
    yield f"ignored: {_percent(found.ignored_share)} of all pixels{declared}"
    if found.undeclared:
        values = shown(f"{value} ({_percent(share)})" for value, share in found.undeclared.items())
        yield f"values without a class, in {found.undeclared_images:,} masks: {values}"
    if found.sampled:
        yield (
            f"regions, their median area in pixels, and the share of a class in parts narrower than {NARROW} pixels: "
            f"from {found.sampled} masks"
        )
    if found.recipe:
        yield "the masks were read with:"
        yield from (f"  {line}" for line in found.recipe)


def _percent(share: float | None) -> str:
    return _DASH if share is None else f"{100 * share:.2f} %"
