import csv
import json
import shutil
from pathlib import Path

import pytest
from scipy.stats import binom

from faces.cli.terminal import succeeds


def test_the_paired_test_is_mcnemars_exact_one(run, elsewhere):
    one, other = (
        _judged_as(run, "one", "1" * 7 + "1" * 9 + "0" * 2),
        _judged_as(run, "other", "1" * 7 + "0" * 9 + "1" * 2),
    )
    test = succeeds("compare", one, other, "--json").json["tests"][0]
    assert test["right_only_in"] == [9, 2]
    # Of 11 images that tell, 9 or more for one side, twice for either side.
    assert test["p_value"] == pytest.approx(2 * binom.sf(8, 11, 0.5))
    assert "one and other are not distinguishable on 18 images" in test["words"]


def test_a_clear_difference_names_the_better_run(run, elsewhere):
    worse, better = _judged_as(run, "worse", "0" * 12), _judged_as(run, "better", "1" * 12)
    answer = succeeds("compare", worse, better)
    assert "better is better by more than chance on 12 images" in answer.out


def test_settings_that_differ_are_listed(run, animals, elsewhere):
    shutil.copytree(run, "other")
    plan = json.loads(Path("other/plan.json").read_text())
    plan["recipe"]["optimiser"]["lr"] = 0.5
    Path("other/plan.json").write_text(json.dumps(plan))
    compared = succeeds("compare", run, "other", "--json").json
    assert list(compared["differences"]) == ["optimiser.lr"]
    assert compared["differences"]["optimiser.lr"][1] == 0.5
    assert [row["accuracy"] for row in compared["runs"]] == [compared["runs"][0]["accuracy"]] * 2


def _judged_as(run, name, right):
    """A copy of a run that judged so many images, right where there is a 1."""
    shutil.copytree(run, name)
    with Path(name, "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "judged", "truth", "predicted", "right"])
        writer.writerows([f"{number}.png", "test", "a", "?", value] for number, value in enumerate(right))
    return name
