"""What the boxes of an image come to, for a line of JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convolve.data.boxes.detections import Detections

_PIXEL_DIGITS, _PROBABILITY_DIGITS = 2, 4


def detection_summary(
    image: str, detections: Detections, classes: Sequence[str], files: Mapping[str, Path]
) -> dict[str, Any]:
    """One line of `predict --json`, as plain JSON values.

    Args:
        image: its name.
        detections: those that are shown.
        classes: K names.
        files: what was written, for example {"picture": ..., "coco": ...}.

    Returns:
        "image"; "boxes", the most probable first: "label", "probability" (4 digits), "box": left, top, right, bottom in
        pixels of the upright image (2 digits); "counts", boxes of each class, 0 where there are none; "files", paths.
    """
    labels = [classes[label] for label in detections.labels.tolist()]
    rows = zip(labels, detections.probabilities.tolist(), detections.corners.tolist(), strict=True)
    return {
        "image": image,
        "boxes": [
            {
                "label": label,
                "probability": round(probability, _PROBABILITY_DIGITS),
                "box": [round(value, _PIXEL_DIGITS) for value in corners],
            }
            for label, probability, corners in rows
        ],
        "counts": {name: labels.count(name) for name in classes},
        "files": {name: str(path) for name, path in files.items()},
    }
