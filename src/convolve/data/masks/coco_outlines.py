"""COCO's annotations as masks: what a pixel shows, where objects lie on each other, and what cannot be drawn."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from convolve.data.coco_json import CocoAnnotation, CocoFile, RunLengths
from convolve.data.dataset import Outline, Outlines, Problem
from convolve.data.masks.outlines import MIN_NUMBERS, decode_counts, outline_area, outline_fault, reaches_out
from convolve.errors import shown


def coco_outlines(file: CocoFile, indices: Mapping[int, int]) -> tuple[dict[int, Outlines], list[Problem]]:
    """The mask of each image, and what is wrong with annotations.

    COCO does not say which of two objects is in front. Larger ones are drawn first, so that small ones stay visible on
    top: a cup on a table, not the table on the cup. Crowds count nowhere. Images with an object whose outline is
    damaged or absent have no mask here: the object would be called background.

    Args:
        file: as it was read.
        indices: class index of each category's id; 0 is the background.

    Returns:
        (masks by the images' ids, problems).
    """
    sizes = {image.id: (image.height, image.width) for image in file.images}
    drawn: dict[int, list[tuple[float, int, Outline]]] = {key: [] for key in sizes}
    noticed: dict[str, list[int]] = defaultdict(list)
    problems = []
    for position, annotation in enumerate(file.annotations):
        hw = sizes.get(annotation.image_id)
        if hw is None:  # which reading the file has told
            continue
        index = None if annotation.iscrowd else indices[annotation.category_id]
        try:
            outline = _outline(annotation, index, hw)
        except ValueError as error:
            problems.append(Problem(f"{file.path.name}, annotations[{position}]", f"{error}: its image is left out"))
            drawn.pop(annotation.image_id, None)
            continue
        if _has_lines(annotation):
            noticed["polygons of fewer than three corners cover nothing: not drawn"].append(position)
        if reaches_out(outline, hw):
            noticed["reaching beyond the image: drawn as far as they lie inside"].append(position)
        if annotation.image_id in drawn:
            drawn[annotation.image_id].append((outline_area(outline), annotation.id, outline))
    problems += [_counted(what, positions, file) for what, positions in noticed.items()]
    return {key: Outlines(sizes[key], _smaller_on_top(shapes)) for key, shapes in drawn.items()}, problems


def _outline(annotation: CocoAnnotation, index: int | None, hw: tuple[int, int]) -> Outline:
    """The shape of an annotation.

    Raises:
        ValueError: there is none, or it is damaged; the message says how, in the user's words.
    """
    stored = annotation.segmentation
    if not stored:
        raise ValueError("it has no segmentation")
    if isinstance(stored, RunLengths):
        if stored.size != hw:
            height, width = stored.size
            raise ValueError(f"its run lengths are of {width} x {height} pixels, its image has {hw[1]} x {hw[0]}")
        outline = Outline(index, runs=decode_counts(stored.counts) if isinstance(stored.counts, str) else stored.counts)
        if not outline.runs:
            raise ValueError("its run lengths are empty")
    else:
        outline = Outline(index, polygons=tuple(polygon for polygon in stored if len(polygon) >= MIN_NUMBERS))
    if fault := outline_fault(outline, hw):
        raise ValueError(fault)
    return outline


def _has_lines(annotation: CocoAnnotation) -> bool:
    stored = annotation.segmentation
    return isinstance(stored, tuple) and any(len(polygon) < MIN_NUMBERS for polygon in stored)


def _smaller_on_top(shapes: Sequence[tuple[float, int, Outline]]) -> tuple[Outline, ...]:
    """Shapes given with area and id, largest first; those of one size by id, so that the order is always the same."""
    return tuple(outline for _, _, outline in sorted(shapes, key=lambda shape: (-shape[0], shape[1])))


def _counted(what: str, positions: Sequence[int], file: CocoFile) -> Problem:
    where = shown(f"annotations[{position}]" for position in positions)
    return Problem(f"{file.path.name}, {where}", f"{what} ({len(positions):,} in all)")
