"""Everything that is reported of a detector on annotated images, as plain JSON values."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Boxes
from convolve.tasks.classify.intervals import group_numbers
from convolve.tasks.detect.assignment import AT_75, COCO_SIZES, IOU_THRESHOLDS, ClassMatches, match, match_voc
from convolve.tasks.detect.average_precision import RECALLS, precision_at, voc2007_average_precision
from convolve.tasks.detect.bootstrap import Intervals, intervals
from convolve.tasks.detect.curves import average_precisions, average_recall, peaks_of
from convolve.tasks.detect.errors import count_errors, find_errors, gains
from convolve.tasks.detect.overlap import Truth, truth_of
from convolve.tasks.detect.proposals import proposal_figures
from convolve.tasks.detect.thresholds import OperatingPoint, operating_points, threshold_of, total

_SIZES = ("small", "medium", "large")


def results(
    truths: Sequence[Boxes],
    detections: Sequence[Detections],
    classes: Sequence[str],
    *,
    names: Sequence[str],
    groups: Sequence[str | None] | None = None,
    proposals: Sequence[NDArray[np.floating[Any]]] | None = None,
    threshold: float | None = None,
) -> dict[str, Any]:
    """The figures of a split; what cannot be computed is None.

    Average precisions are COCO's, over all detections given (COCO's own stop at 100 of an image and class). A class
    without objects has none, and is left out of means. "precision", "recall" and "f1" are those of the detections from
    the threshold on, which must have been chosen on other images to mean anything; "threshold_by" says if it was.

    Args:
        truths: of N >= 1 images, in pixels of the original images, by which small, medium and large are told.
        detections: of the same images.
        classes: K names.
        names: of the images.
        groups: the group of each image, None where it stands alone; given, the intervals are over groups.
        proposals: (R, 4) regions of each image, best first, where a detector takes or makes any.
        threshold: smallest probability of a detection that would be shown; None = the best one for these very images.
    """
    arrays = [truth_of(one) for one in truths]
    matches = match(arrays, detections, len(classes), sizes=COCO_SIZES)
    figures = average_precisions(matches)
    spread = intervals(matches, groups=groups)
    shown_from = threshold_of(matches) if threshold is None else threshold
    points = [operating_points(one, shown_from) for one in matches]
    regions = None if proposals is None else proposal_figures(arrays, proposals, classes)
    return {
        "n": len(truths),
        "groups": None if groups is None else int(group_numbers(groups).max()) + 1,
        "objects": sum(int(one.truths[0].sum()) for one in matches),
        "uncounted_objects": sum(int(np.count_nonzero(~one.counts)) for one in arrays),
        "map50": _mean(figures[:, 0]),
        "map50_ci95": _pair(spread.map50),
        "map": _mean(figures),
        "map_ci95": _pair(spread.map),
        "ci95_method": spread.method,
        "map75": _mean(figures[:, AT_75]),
        "map_by_size": {
            name: _mean(average_precisions(matches, size=size)) for size, name in enumerate(_SIZES, start=1)
        },
        "average_recall_100": _known(average_recall(matches)),
        "voc_2007_map50": _voc(arrays, detections, len(classes)),
        "threshold": shown_from,
        "threshold_by": "these images" if threshold is None else "given",
        **_shares(total([point for some in points for point in some])),
        "per_class": _per_class(classes, matches, figures, spread, points),
        "proposal_recall": None if regions is None else _at_most_regions(regions)["recall_50"],
        "proposals": regions,
        "errors": _errors(arrays, detections, matches, shown_from),
        "per_image": [_image_row(name, total(some)) for name, *some in zip(names, *points, strict=True)],
    }


def mean_average_precision(truths: Sequence[Boxes], detections: Sequence[Detections], classes: int) -> float:
    """COCO's at an IoU of .5, of N images and K classes; 0 where no image has an object."""
    arrays = [truth_of(one) for one in truths]
    figures = average_precisions(match(arrays, detections, classes, thresholds=IOU_THRESHOLDS[:1]))
    return _mean(figures) or 0.0


def _per_class(
    classes: Sequence[str],
    matches: Sequence[ClassMatches],
    figures: NDArray[np.float64],
    spread: Intervals,
    points: Sequence[Sequence[OperatingPoint]],
) -> dict[str, dict[str, Any]]:
    rows = {}
    for label, (name, one) in enumerate(zip(classes, matches, strict=True)):
        objects = int(one.truths[0].sum())
        precision = precision_at(*peaks_of(one)[:2], objects).tolist() if objects else None
        rows[name] = {
            "objects": objects,
            "images": int(np.count_nonzero(one.truths[0])),
            "ap50": _known(figures[label, 0]),
            "ap50_ci95": _pair(spread.ap50[label]),
            "ap": _mean(figures[label]),
            **_shares(total(points[label])),
            "curve": None if precision is None else {"recall": RECALLS.round(2).tolist(), "precision": precision},
        }
    return rows


def _errors(
    truths: Sequence[Truth], detections: Sequence[Detections], matches: Sequence[ClassMatches], threshold: float
) -> dict[str, Any]:
    errors = find_errors(truths, detections, matches)
    return {
        "counts": count_errors(errors, matches, truths, threshold),
        "map50_gains": gains(errors, matches, truths),
    }


def _voc(truths: Sequence[Truth], detections: Sequence[Detections], classes: int) -> float | None:
    matches = match_voc(truths, detections, classes)
    return _mean(np.array([float(voc2007_average_precision(*peaks_of(one))) for one in matches]))


def _image_row(name: str, point: OperatingPoint) -> dict[str, Any]:
    return {
        "name": name,
        "objects": point.true + point.missed,
        "found": point.true,
        "missed": point.missed,
        "false_alarms": point.false,
        "f1": point.f1,
    }


def _shares(point: OperatingPoint) -> dict[str, float | None]:
    return {"precision": point.precision, "recall": point.recall, "f1": point.f1}


def _at_most_regions(regions: dict[str, Any]) -> dict[str, float]:
    """The row of the largest number of regions, which is the last."""
    rows: list[dict[str, float]] = [row for name, row in regions.items() if name.startswith("top")]
    return rows[-1]


def _pair(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _mean(figures: NDArray[np.float64]) -> float | None:
    return None if np.isnan(figures).all() else float(np.nanmean(figures))


def _known(figure: float) -> float | None:
    return None if math.isnan(figure) else float(figure)
