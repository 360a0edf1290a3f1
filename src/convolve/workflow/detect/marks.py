"""An image's boxes as reports draw them: what was found, what is a false alarm, what was missed."""

from collections.abc import Sequence

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Box, Boxes
from convolve.see.box_drawing import BoxMark, Kind
from convolve.tasks.detect.assignment import FALSE, TRUE, match
from convolve.tasks.detect.overlap import truth_of

_KINDS: dict[int, Kind] = {TRUE: "found", FALSE: "false alarm"}


def annotated_marks(truth: Boxes, classes: Sequence[str]) -> list[BoxMark]:
    """The objects as they were drawn by hand."""
    return [_annotated(one, "annotated" if one.kind == "object" else "ignored", classes) for one in truth.objects]


def marks_of(truth: Boxes, detections: Detections, classes: Sequence[str], *, threshold: float) -> list[BoxMark]:
    """What is shown of an image: missed objects, then detections from the threshold on, the most probable on top.

    Args:
        truth: its objects.
        detections: of the same image.
        classes: K names.
        threshold: less probable detections are not shown, and what only they found is missed.
    """
    shown = detections.probabilities >= threshold
    kept = Detections(detections.corners[shown], detections.labels[shown], detections.probabilities[shown])
    matches = match([truth_of(truth)], [kept], len(classes))
    kinds: list[Kind] = ["ignored"] * len(kept.labels)
    found = set()
    for one in matches:
        for place, outcome, given in zip(one.places, one.outcomes[0, 0], one.given[0, 0], strict=True):
            kinds[place] = _KINDS.get(int(outcome), "ignored")
            if outcome == TRUE:
                found.add(int(given))
    missed = [
        _annotated(one, "missed" if one.kind == "object" else "ignored", classes)
        for number, one in enumerate(truth.objects)
        if number not in found
    ]
    told = [
        BoxMark((left, top, right, bottom), kind, classes[label], probability)
        for kind, label, probability, (left, top, right, bottom) in zip(
            kinds, kept.labels.tolist(), kept.probabilities.tolist(), kept.corners.tolist(), strict=True
        )
    ]
    # Probabilities descend, and the last one is drawn on top.
    return missed + told[::-1]


def _annotated(box: Box, kind: Kind, classes: Sequence[str]) -> BoxMark:
    return BoxMark(box.corners, kind, classes[box.index], note="" if box.kind == "object" else box.kind)
