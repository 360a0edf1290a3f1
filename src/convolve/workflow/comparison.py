"""`convolve compare`: runs side by side, with a paired test where they judged the same images."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import binomtest, rankdata, wilcoxon

from convolve.errors import UserError
from convolve.run.folder import Run
from convolve.workflow.finished import results_of_training

_FIGURES = {
    "classify": ("split", "n", "accuracy", "accuracy_ci95", "balanced_accuracy", "nll", "ece"),
    "segment": ("split", "n", "mean_iou", "mean_iou_ci95", "pixel_accuracy", "nll", "calibration_error"),
    "detect": ("split", "n", "map50", "map50_ci95", "map", "proposal_recall", "ms_per_image"),
}
# What each image has in the table of predictions, and what it is called.
_BY_IMAGE = {"segment": ("mean_iou", "mean IoU"), "detect": ("f1", "F1")}
# The usual level, at which one in twenty comparisons of equals looks like a difference.
_LEVEL = 0.05


def compare_runs(runs: Sequence[Run]) -> dict[str, Any]:
    """Figures of every run, the settings in which they differ, and pairwise tests, as plain JSON values.

    Raises:
        UserError: fewer than two runs, of different tasks, or one is not finished, a pre-training, or has no test
            figures.
    """
    if len(runs) < 2:
        raise UserError("one run cannot be compared", "Name two or more.")
    rows = [_row(run) for run in runs]
    if len({row["task"] for row in rows}) > 1:
        told = ", ".join(f"{row['run']} ({row['task']})" for row in rows)
        raise UserError(
            f"runs of different tasks: {told}",
            "Their figures mean different things; compare runs of one task.",
        )
    task = rows[0]["task"]
    test = _mcnemar_test if task == "classify" else partial(_signed_rank_test, task=task)
    recipes = [_flat(run.read("plan")["recipe"]) for run in runs]
    keys = list(dict.fromkeys(key for recipe in recipes for key in recipe))
    differences = {key: [recipe.get(key) for recipe in recipes] for key in keys}
    return {
        "runs": rows,
        "differences": {key: values for key, values in differences.items() if any(v != values[0] for v in values)},
        "tests": [found for one, other in combinations(runs, 2) if (found := test(one, other))],
    }


def _row(run: Run) -> dict[str, Any]:
    results = results_of_training(run)
    judged = results.get("test") or results.get("out_of_fold")
    if judged is None:
        raise UserError(f"{run.folder}: it has no test images, so nothing to compare", "Train with folds=5.")
    return {
        "run": str(run.folder),
        "task": results["task"],
        "network": results["network"],
        "start": results["start"],
        "seconds": results["seconds"],
        **{name: judged[name] for name in _FIGURES[results["task"]]},
    }


def _mcnemar_test(one: Run, other: Run) -> dict[str, Any] | None:
    """McNemar's exact test on the images that both judged: only those on which they differ tell."""
    first, second = _right(one), _right(other)
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return None
    only_first = sum(first[name] and not second[name] for name in shared)
    only_second = sum(second[name] and not first[name] for name in shared)
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    better = one if only_first > only_second else other
    verdict = (
        f"{better.folder} is better by more than chance"
        if p_value < _LEVEL
        else f"{one.folder} and {other.folder} are not distinguishable"
    )
    return {
        "runs": [str(one.folder), str(other.folder)],
        "n": len(shared),
        "right_only_in": [only_first, only_second],
        "p_value": p_value,
        "words": f"{verdict} on {len(shared)} images: {only_first} right only by the first, {only_second} only by the "
        f"second (McNemar's exact test, p = {p_value:.2g})",
    }


def _signed_rank_test(one: Run, other: Run, *, task: str) -> dict[str, Any] | None:
    """Wilcoxon's signed-rank test on a figure of each image that both judged, or of each group of images.

    Images of one group (a site, a recording) are alike, so that their differences count once, by their mean.
    """
    column, figure = _BY_IMAGE[task]
    first, second, groups = _predictions(one, column), _predictions(other, column), _predictions(one, "group")
    shared = sorted(name for name in first.keys() & second.keys() if first[name] and second[name])
    if not shared:
        return None
    by_unit: dict[tuple[str, str], list[float]] = defaultdict(list)
    for name in shared:
        by_unit[groups[name], "" if groups[name] else name].append(float(first[name]) - float(second[name]))
    differences = np.array([np.mean(values) for values in by_unit.values()])
    units = "images" if len(by_unit) == len(shared) else "groups of images"
    better_first, better_second = int((differences > 0).sum()), int((differences < 0).sum())
    p_value = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    # As the test has it: which of the two is ahead by ranks, whatever single images do to the mean.
    unequal = differences[differences != 0]
    rank_sum = float(np.sign(unequal) @ rankdata(abs(unequal)))
    better = one if rank_sum > 0 else other
    verdict = (
        f"{better.folder} is better by more than chance"
        if p_value < _LEVEL
        else f"{one.folder} and {other.folder} are not distinguishable"
    )
    return {
        "runs": [str(one.folder), str(other.folder)],
        "n": len(differences),
        "units": units,
        "figure": figure,
        "better_in": [better_first, better_second],
        "rank_sum": rank_sum,
        "p_value": p_value,
        "words": f"{verdict} on {len(differences)} {units}: a higher {figure} on {better_first} by the first, on "
        f"{better_second} by the second (Wilcoxon's signed-rank test, p = {p_value:.2g})",
    }


def _right(run: Run) -> dict[str, bool]:
    return {name: right == "1" for name, right in _predictions(run, "right").items()}


def _predictions(run: Run, column: str) -> dict[str, str]:
    """A column of a run's table of predictions, by image."""
    with run.predictions.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    judged = rows[0]["judged"] if rows else ""
    return {row["image"]: row[column] for row in rows if row["judged"] == judged}


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
