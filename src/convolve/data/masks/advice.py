"""What to do about the findings of an inspection of masks, in short sentences."""

from collections.abc import Iterator

from convolve.data.masks.findings import NARROW, MaskInspection
from convolve.errors import shown

_RARE = 0.01
_MOSTLY_ONE = 0.9
_MOSTLY_NARROW = 0.5


def advice_on_masks(found: MaskInspection) -> Iterator[str]:
    """Sentences on what was found in masks, what matters most first; none on what is well."""
    yield from _on_masks(found)
    yield from _on_values(found)
    yield from _on_classes(found)
    yield from _on_balance(found)
    yield from _on_objects(found)


def _on_masks(found: MaskInspection) -> Iterator[str]:
    if found.broken:
        broken = shown(f"{one.where} ({one.what})" for one in found.broken)
        yield f"{_count(len(found.broken), 'mask')} cannot be used, and their images are left out: {broken}."
    if found.all_ignored:
        yield (
            f"{_count(len(found.all_ignored), 'image')} without one pixel that counts, left out: "
            f"{shown(found.all_ignored)}."
        )


def _on_values(found: MaskInspection) -> Iterator[str]:
    if not found.undeclared:
        return
    listed = shown(f"{value} ({_percent(share)})" for value, share in found.undeclared.items())
    what = "colours" if found.kind == "colour" else "values"
    yield (
        f"{_count(found.undeclared_images, 'mask')} with {what} that no class has, ignored: {listed}. Name their class "
        "in masks.classes and masks.values, or declare them in masks.ignore."
    )


def _on_classes(found: MaskInspection) -> Iterator[str]:
    never = [one.name for one in found.classes if not one.images]
    if never:
        yield f"In no mask: {shown(never)}. Leave it out of masks.classes, or look whether masks.values is right."
    for split in found.splits:
        missing = [one.name for one in found.classes if one.images and not one.images.get(split)]
        if missing and split == "train":
            yield f"Not in the train split: {shown(missing)}. It cannot be learnt from these images."
        elif missing and len(found.splits) > 1:
            yield f"Not in the {split} split: {shown(missing)}. How well it is found will not be known there."


def _on_balance(found: MaskInspection) -> Iterator[str]:
    there = [one for one in found.classes if one.share]
    if len(there) < 2:
        return
    largest = max(there, key=lambda one: one.share)
    if largest.share >= _MOSTLY_ONE:
        yield (
            f"Always answering '{largest.name}' is right for {_percent(largest.share)} of the pixels: read the IoU of "
            "each class, not pixel accuracy."
        )
    rare = sorted((one for one in there if one.share < _RARE), key=lambda one: one.share)
    if rare:
        named = shown(f"{one.name} ({_percent(one.share)})" for one in rare)
        yield (
            f"Under 1 % of the pixels: {named}; '{largest.name}' has {largest.share / rare[0].share:,.0f} times the "
            "pixels of the rarest. loss.class_weights=median-frequency lets classes count more alike; "
            "segment.sampling=classes with a segment.crop smaller than the images cuts crops around them."
        )


def _on_objects(found: MaskInspection) -> Iterator[str]:
    narrow = [one for one in found.classes if one.narrow_share is not None and one.narrow_share > _MOSTLY_NARROW]
    if narrow:
        named = shown(f"{one.name} ({_percent(one.narrow_share or 0)} of it)" for one in narrow)
        yield (
            f"Mostly narrower than {NARROW} pixels, one cell of FCN-8s: {named}. Prefer segment=unet, or enlarge the "
            "images with segment.scale."
        )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"
