"""Everything that is reported of a model on images with masks, from their tallies, as plain JSON values."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.tasks.classify.intervals import group_numbers
from convolve.tasks.metrics.bootstrap_interval import RESAMPLES, bootstrap_interval
from convolve.tasks.metrics.calibration_error import calibration_error
from convolve.tasks.metrics.reliability import ReliabilityBin
from convolve.tasks.segment import scores
from convolve.tasks.segment.retained import auroc, errors_held, retained_accuracy
from convolve.tasks.segment.scores import Figures, class_counts
from convolve.tasks.segment.tally import ImageTally

_RETAINED = (1.0, *(share / 100 for share in range(95, 0, -5)))
_LEAST_CERTAIN = (0.01, 0.05, 0.1, 0.2)


def results(
    tallies: Sequence[ImageTally], classes: Sequence[str], *, names: Sequence[str], groups: Sequence[str | None] | None
) -> dict[str, Any]:
    """The figures of a split; what cannot be computed is None.

    Means over classes are those of one confusion matrix over all images; "mean_image_iou" is the mean of the images'.
    A class that neither occurs nor is predicted is left out of them; one that is predicted and does not occur has an
    IoU of 0.

    Args:
        tallies: of N >= 1 images.
        classes: K names.
        names: of the images.
        groups: the group of each image, None where it stands alone; given, the intervals are over groups.
    """
    confusion = np.sum([tally.confusion for tally in tallies], axis=0)
    counts = class_counts(confusion)
    images = np.stack([class_counts(tally.confusion) for tally in tallies])
    units = images if groups is None else _by_group(images, groups)
    noun = "image" if groups is None else "group"
    mean_ious, interval = scores.mean_iou(images), _interval(units, scores.mean_iou)
    pixels = int(confusion.sum())
    entropy = np.sum([tally.entropy for tally in tallies], axis=0)
    return {
        "n": len(tallies),
        "groups": None if groups is None else len(units),
        "pixels": pixels,
        "ignored_pixels": sum(tally.ignored for tally in tallies),
        "pixel_accuracy": _known(scores.pixel_accuracy(counts)),
        "pixel_accuracy_ci95": _interval(units, scores.pixel_accuracy),
        "mean_accuracy": _known(scores.mean_accuracy(counts)),
        "mean_iou": _known(scores.mean_iou(counts)),
        "mean_iou_ci95": interval,
        "mean_iou_ci95_method": f"percentile bootstrap over {len(units):,} {noun}s, {RESAMPLES:,} resamples"
        if interval
        else f"no interval: one {noun}, or all {noun}s alike",
        "mean_image_iou": None if np.isnan(mean_ious).all() else float(np.nanmean(mean_ious)),
        "frequency_weighted_iou": _known(scores.frequency_weighted_iou(counts)),
        "per_class": _per_class(classes, images, units),
        "confusion": confusion.tolist(),
        "nll": sum(tally.nll for tally in tallies) / pixels if pixels else None,
        "brier": sum(tally.brier for tally in tallies) / pixels if pixels else None,
        **_calibration(classes, np.sum([tally.reliability for tally in tallies], axis=0)),
        "retained": [{"share": share, "accuracy": retained_accuracy(entropy, share)} for share in _RETAINED],
        "least_certain": [{"share": share, "errors": errors_held(entropy, share)} for share in _LEAST_CERTAIN],
        "auroc": auroc(entropy),
        "per_image": [
            {"name": name, "pixel_accuracy": _known(right), "mean_iou": _known(image)}
            for name, right, image in zip(names, scores.pixel_accuracy(images), mean_ious, strict=True)
        ],
    }


def _per_class(classes: Sequence[str], images: NDArray[np.int64], units: NDArray[np.int64]) -> list[dict[str, Any]]:
    total = images.sum(axis=0)
    _, truth, called = total
    figures = {
        "iou": scores.iou(total),
        "f1": scores.f1(total),
        "precision": scores.precision(total),
        "recall": scores.recall(total),
    }
    rows = []
    for index, name in enumerate(classes):
        missing = {"does not occur": truth[index] == 0, "never predicted": called[index] == 0}
        rows.append(
            {
                "class": name,
                "pixels": int(truth[index]),
                "share": float(truth[index] / max(1, truth.sum())),
                "images": int(np.count_nonzero(images[:, 1, index])),
                **{figure: _known(values[index]) for figure, values in figures.items()},
                "iou_ci95": _class_interval(units[:, :, index]),
                "note": ", ".join(note for note, is_missing in missing.items() if is_missing),
            }
        )
    return rows


def _class_interval(units: NDArray[np.int64]) -> list[float] | None:
    """Of one class's IoU, from its counts (U, 3), over the units that have to do with it."""
    return _interval(units[units.any(axis=1), :, None], lambda sums: scores.iou(sums)[..., 0])


def _interval(units: NDArray[np.int64], figure: Callable[[Figures], Figures]) -> list[float] | None:
    """[low, high] by drawing the units (U, 3, k) again; None where that has no spread, as when all pixels are right."""
    if len(units) < 2:
        return None
    classes = units.shape[2]
    low, high = bootstrap_interval(
        units.reshape(len(units), -1), lambda sums: np.nan_to_num(figure(sums.reshape(-1, 3, classes)))
    )
    return [low, high] if low < high else None


def _by_group(images: NDArray[np.int64], groups: Sequence[str | None]) -> NDArray[np.int64]:
    numbers = group_numbers(groups)
    summed = np.zeros((int(numbers.max()) + 1, *images.shape[1:]), np.int64)
    np.add.at(summed, numbers, images)
    return summed


def _calibration(classes: Sequence[str], reliability: NDArray[np.float64]) -> dict[str, Any]:
    """Whether probabilities mean what they say: of all pixels, and of those called each class."""

    def points(bins: NDArray[np.float64]) -> list[ReliabilityBin]:
        return [ReliabilityBin(total / n, right / n, int(n)) for n, total, right in bins.tolist() if n]

    whole = points(reliability.sum(axis=0))
    return {
        "calibration_error": calibration_error(whole) if whole else None,
        "calibration_error_per_class": {
            name: calibration_error(own) if (own := points(bins)) else None
            for name, bins in zip(classes, reliability, strict=True)
        },
        # Neighbouring pixels are alike, so an interval that counts them singly would be a hundred times too narrow.
        "reliability": [
            {"confidence": bin.confidence, "accuracy": bin.accuracy, "n": bin.n, "accuracy_ci95": None} for bin in whole
        ],
    }


def _known(value: float | Figures) -> float | None:
    return None if np.isnan(value) else float(value)
