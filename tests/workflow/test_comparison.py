"""Runs on masks side by side, and Wilcoxon's signed-rank test on their images."""

import json
from itertools import product
from types import MappingProxyType

import pytest
from scipy.stats import rankdata, wilcoxon

from convolve.errors import UserError
from convolve.run.folder import Run
from convolve.workflow.comparison import compare_runs

FIGURES = {
    "split": "test",
    "n": 8,
    "mean_iou": 0.5,
    "mean_iou_ci95": [0.4, 0.6],
    "pixel_accuracy": 0.8,
    "nll": 0.3,
    "calibration_error": 0.01,
}


def judged(folder, mean_ious, *, task="segment", groups=MappingProxyType({})):
    """The files of a finished run that comparing reads, by hand."""
    folder.mkdir()
    run = Run(folder)
    run.write("request", {})
    run.write("plan", {"recipe": {"seed": 0, "loss": {"name": folder.name}}})
    results = {"task": task, "network": "residual", "start": "scratch", "seconds": 1.0, "test": FIGURES}
    run.write("results", results)
    rows = [f"{name},{groups.get(name, '')},test,0.8,{value}" for name, value in mean_ious.items()]
    run.predictions.write_text("\n".join(["image,group,judged,pixel_accuracy,mean_iou", *rows]) + "\n")
    return run


def exact_p(differences):
    """Both tails of the sum of positive ranks, over all signs that equals could have had."""
    ranks = rankdata([abs(value) for value in differences])
    total = ranks.sum()
    seen = sum(rank for rank, value in zip(ranks, differences, strict=True) if value > 0)
    sums = [sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign) for signs in product((0, 1), repeat=8)]
    extreme = max(seen, total - seen)
    return min(1.0, 2 * sum(value >= extreme for value in sums) / len(sums))


def test_the_p_value_is_that_of_all_signs_counted(tmp_path):
    # Eighths, so that differences are exact and no two alike.
    first = [k / 64 for k in (40, 44, 50, 33, 29, 61, 55, 47)]
    second = [k / 64 for k in (39, 46, 47, 29, 24, 55, 48, 39)]
    names = [f"{number}.png" for number in range(8)]
    one, other = (
        judged(tmp_path / name, dict(zip(names, values, strict=True)))
        for name, values in (("one", first), ("other", second))
    )
    test = compare_runs([one, other])["tests"][0]
    differences = [a - b for a, b in zip(first, second, strict=True)]
    assert test["better_in"] == [7, 1]
    assert test["p_value"] == pytest.approx(exact_p(differences), rel=1e-12)
    assert test["p_value"] == pytest.approx(wilcoxon(first, second).pvalue)
    # Only the second smallest difference speaks for the second: 2 (ways to a sum of at most 2: {}, {1}, {2}) / 2^8.
    assert test["p_value"] == pytest.approx(2 * 3 / 2**8)
    assert test["words"].startswith(f"{one.folder} is better by more than chance on 8 images: a higher mean IoU on 7")


def test_images_that_only_one_judged_and_images_without_a_figure_are_left_out(tmp_path):
    one = judged(tmp_path / "one", {"a": 0.5, "b": 0.5, "c": 0.5, "d": "", "e": 0.9})
    other = judged(tmp_path / "other", {"b": 0.75, "c": 0.25, "a": 0.5, "d": 0.3, "f": 0.1})
    test = compare_runs([one, other])["tests"][0]
    assert test["n"] == 3
    assert test["better_in"] == [1, 1]
    assert f"{one.folder} and {other.folder} are not distinguishable" in test["words"]


def test_equal_runs_are_not_distinguishable(tmp_path):
    same = {"a": 0.25, "b": 0.75}
    test = compare_runs([judged(tmp_path / "one", same), judged(tmp_path / "other", same)])["tests"][0]
    assert (test["p_value"], test["better_in"]) == (1.0, [0, 0])


def test_runs_without_shared_images_are_told_side_by_side_without_a_test(tmp_path):
    compared = compare_runs([judged(tmp_path / "one", {"a": 0.5}), judged(tmp_path / "other", {"b": 0.5})])
    assert compared["tests"] == []
    assert [row["mean_iou"] for row in compared["runs"]] == [0.5, 0.5]
    assert compared["differences"] == {"loss.name": ["one", "other"]}


def test_runs_of_different_tasks_are_refused(tmp_path):
    one, other = judged(tmp_path / "one", {"a": 0.5}), judged(tmp_path / "other", {"a": 0.5})
    results = json.loads((other.folder / "results.json").read_text())
    figures = {"accuracy": 0.5, "accuracy_ci95": [0.4, 0.6], "balanced_accuracy": 0.5, "ece": 0.1}
    other.write("results", results | {"task": "classify", "test": FIGURES | figures})
    with pytest.raises(UserError, match=r"runs of different tasks: .*one \(segment\), .*other \(classify\)"):
        compare_runs([one, other])


def test_images_of_one_group_count_once(tmp_path):
    groups = {f"{number}.png": f"site {number // 4}" for number in range(8)}
    first = {name: 0.5 + number / 64 for number, name in enumerate(groups)}
    second = dict.fromkeys(groups, 0.5)
    one = judged(tmp_path / "one", first, groups=groups)
    other = judged(tmp_path / "other", second, groups=groups)
    test = compare_runs([one, other])["tests"][0]
    assert (test["n"], test["units"], test["better_in"]) == (2, "groups of images", [2, 0])
    # Of two differences, both signs alike come up in half of all cases.
    assert test["p_value"] == pytest.approx(0.5)
