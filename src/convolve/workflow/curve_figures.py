"""What a learning curve says: figures of its points, how it goes on, and sentences for both."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.tasks.classify.intervals import group_numbers
from convolve.tasks.metrics.bootstrap_interval import bootstrap_interval
from convolve.tasks.metrics.wilson_interval import wilson_interval
from convolve.workflow.power_law import FURTHEST, Fitted, Measured, fit_power_law

_WANTED_GAIN = 0.02
# A doubling of the images that surely brings less than this is not worth the labelling.
_HARDLY = 0.01
_DRAWN_POINTS = 25


def rung_figures(
    name: str,
    points: Sequence[dict[str, Any]],
    *,
    classes: Sequence[str],
    train: NDArray[np.int64],
    tested: NDArray[np.int64],
    groups: Sequence[str | None],
    seed: int,
) -> dict[str, Any]:
    """Everything about one rung's curve, plain JSON values.

    Args:
        name: of the rung.
        points: one a training, as `curve` keeps them, ascending in images.
        classes: K names.
        train: (K,) training images of each class.
        tested: (K,) test images of each class.
        groups: (T,) of the test images.
        seed: for resampling.
    """
    sizes = sorted({point["size"] for point in points})
    by_size = [[point for point in points if point["size"] == size] for size in sizes]
    units = group_numbers(groups)
    right = [np.array([[float(letter) for letter in point["right"]] for point in some]) for some in by_size]
    images = np.array([np.mean([point["images"] for point in some]) for some in by_size])
    measured = Measured(images, right, units)
    rows = [
        _point_figures(float(n), some, one, measured, units)
        for n, some, one in zip(images, by_size, right, strict=True)
    ]
    fitted = fit_power_law(measured, seed=seed)
    law = _extrapolation(fitted, float(images[0]), float(images[-1]))
    return {
        "rung": name,
        "draws": len(by_size[0]),
        "points": rows,
        "extrapolation": law,
        "per_class": _per_class(by_size, classes, train, tested),
        "sentences": [*_extrapolation_words(law, int(images[-1]))],
        "seconds": sum(point["seconds"] for point in points),
    }


def _point_figures(
    images: float,
    some: Sequence[dict[str, Any]],
    right: NDArray[np.float64],
    measured: Measured,
    units: NDArray[np.int64],
) -> dict[str, Any]:
    accuracies = [point["accuracy"] for point in some]
    return {
        "images": round(images),
        "draws": len(some),
        "accuracy": float(np.mean(accuracies)),
        "accuracy_ci95": list(_test_interval(right, units)),
        "draw_accuracies": accuracies,
        "seconds": float(np.mean([point["seconds"] for point in some])),
    }


def _test_interval(right: NDArray[np.float64], units: NDArray[np.int64]) -> tuple[float, float]:
    """95 %, of the mean over draws, for having tested on these images and not on others."""
    tested, draws = right.shape[1], len(right)
    if int(units.max()) + 1 == tested:
        return wilson_interval(float(right.sum()) / draws, tested)
    sums = np.bincount(units, weights=right.sum(axis=0)).astype(np.int64)
    tallies = np.stack([sums, draws * np.bincount(units)], axis=1)
    return bootstrap_interval(tallies, lambda summed: summed[:, 0] / summed[:, 1])


def _per_class(
    by_size: Sequence[Sequence[dict[str, Any]]],
    classes: Sequence[str],
    train: NDArray[np.int64],
    tested: NDArray[np.int64],
) -> list[dict[str, Any]]:
    """Recall with all images, the worst first, and how much it rose since the size before."""
    [last], before = by_size[-1], by_size[-2]
    rows = []
    for index, name in enumerate(classes):
        recall, images = last["recalls"][index], int(tested[index])
        earlier = [point["recalls"][index] for point in before]
        rows.append(
            {
                "class": name,
                "training_images": int(train[index]),
                "test_images": images,
                "recall": recall,
                "recall_ci95": None if recall is None else list(wilson_interval(recall * images, images)),
                "rise": None if recall is None else recall - float(np.mean(earlier)),
            }
        )
    return sorted(rows, key=lambda row: (row["recall"] is None, row["recall"]))


def _extrapolation(fitted: Fitted | str, first: float, images: float) -> dict[str, Any]:
    if isinstance(fitted, str):
        return {"fit": None, "why_not": fitted}
    gain, low, high = fitted.gain(images, 2 * images)
    more = [
        round(value) if math.isfinite(value) and value <= (FURTHEST - 1) * images else None
        for value in fitted.more_images(images, _WANTED_GAIN)
    ]
    drawn = np.geomspace(first, 2 * images, _DRAWN_POINTS)
    law = fitted.law
    return {
        "fit": {"floor": law.floor, "drop": law.drop, "exponent": law.exponent, "smallest": law.smallest},
        "doubling": {"images": round(2 * images), "gain": gain, "gain_ci95": [low, high]},
        "two_points": {
            "more_images": more[0],
            "more_images_ci95": more[1:],
            "furthest": round((FURTHEST - 1) * images),
        },
        "line": [[float(n), *fitted.accuracy(float(n))] for n in drawn],
    }


def _extrapolation_words(law: dict[str, Any], images: int) -> list[str]:
    if law["fit"] is None:
        return [f"How the curve goes on cannot be said: {law['why_not']}."]
    gain, (low, high) = law["doubling"]["gain"], law["doubling"]["gain_ci95"]
    rise = f"{_points(gain)} (95 % interval {_points(low)} to {_points(high)})"
    doubled = f"from {images:,} to {law['doubling']['images']:,}"
    if high < _HARDLY:
        return [f"More images will hardly help: doubling them, {doubled}, should bring {rise}."]
    perhaps = "; that may be nothing" if low < _HARDLY / 10 else ""
    return [f"Doubling the training images, {doubled}, should bring {rise}{perhaps}.", _two_points(law["two_points"])]


def _two_points(wanted: dict[str, Any]) -> str:
    more, (low, high) = wanted["more_images"], wanted["more_images_ci95"]
    least = f"at least {_rounded(low)} more" if low is not None else f"over {_rounded(wanted['furthest'])} more"
    if more is None:
        return (
            f"+2 points are farther than the curve can be carried (four times the images): they would take {least} "
            "images, if images alone can bring them."
        )
    most = _rounded(high) if high is not None else f"over {_rounded(wanted['furthest'])}"
    return f"About {_rounded(more)} more images for +2 points (95 % interval {_rounded(low)} to {most})."


def _points(share: float) -> str:
    return f"{100 * share:+.1f} points"


def _rounded(count: int) -> str:
    """Two digits: no extrapolation has more.

    >>> _rounded(1234), _rounded(87)
    ('1,200', '87')
    """
    if count < 10:
        return f"{count:,}"
    digits = len(str(count)) - 2
    return f"{round(count, -digits):,}"
