"""What to do about the findings of an inspection, in short sentences."""

from collections.abc import Iterator, Sequence

from convolve.data.findings import SMALL_CLASS, Copies, Inspection
from convolve.errors import shown

_IMBALANCED = 10.0
_SIXTEEN_BITS = "I;16"


def advice_on(found: Inspection) -> Iterator[str]:
    """Sentences on what was found, what matters most first; none on what is well."""
    yield from _on_copies(found)
    yield from _on_files(found)
    yield from _on_classes(found)
    yield from _on_pixels(found)


def _on_copies(found: Inspection) -> Iterator[str]:
    if found.leaks:
        yield (
            f"{_groups(found.leaks)} in more than one split: test scores will be too good, so keep copies together "
            f"({_example(found.leaks)})."
        )
    if found.conflicts:
        yield (
            f"{_groups(found.conflicts)} with different labels: one label of each is wrong, or several hold "
            f"({_example(found.conflicts)})."
        )
    others = [copies for copies in found.copies if not copies.leak and not copies.labels_differ]
    if others:
        yield f"{_groups(others)}: never split a group, or keep one image of each ({_example(others)})."


def _on_files(found: Inspection) -> Iterator[str]:
    if found.missing:
        yield f"{_count(len(found.missing), 'image')} without a file: {shown(found.missing)}."
    if found.broken:
        broken = shown(f"{one.where} ({one.what})" for one in found.broken)
        yield f"{_count(len(found.broken), 'file')} cannot be used and will be left out: {broken}."


def _on_classes(found: Inspection) -> Iterator[str]:
    if found.small_classes:
        ascending = sorted(found.small_classes.items(), key=lambda item: item[1])
        named = shown(f"{name} ({count})" for name, count in ascending)
        yield (
            f"Fewer than {SMALL_CLASS} images to learn from in {_count(len(ascending), 'class', 'classes')}: {named}. "
            "Add images, or merge classes."
        )
    if found.imbalance is not None and found.imbalance >= _IMBALANCED:
        yield (
            f"The largest class has {found.imbalance:.0f} times the images of the smallest: read the recall of each "
            "class, not accuracy alone."
        )
    if found.unlabelled:
        yield f"{_count(found.unlabelled, 'image')} without a label: the network learns that nothing is on them."


def _on_pixels(found: Inspection) -> Iterator[str]:
    if found.fit == "pad":
        yield f"Fit by padding: {found.fit_reason}."
    if any(colour.startswith(_SIXTEEN_BITS) for colour in found.colours):
        yield "16-bit images keep their upper 8 bits: if yours use less than the full range, rescale them all alike."
    if found.colours and len(found.mean) == 3 and "L" in found.colours:
        yield (
            f"{found.colours['L']} images are grey and the others are not: if colour goes with a class, that is what "
            "will be learnt."
        )


def _groups(copies: Sequence[Copies]) -> str:
    images = sum(len(group.rows) for group in copies)
    exact = sum(group.kind == "exact" for group in copies)
    return f"{_count(len(copies), 'group')} of copies ({images} images; {exact} exact, {len(copies) - exact} near)"


def _example(copies: Sequence[Copies]) -> str:
    first = copies[0]
    told = list(first.names)
    if first.leak:
        told = [f"{name} in {split}" for name, split in zip(told, first.splits, strict=True)]
    if first.labels_differ:
        told = [f"{name} as {'+'.join(label) or 'nothing'}" for name, label in zip(told, first.labels, strict=True)]
    return f"for example {shown(told)}"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
