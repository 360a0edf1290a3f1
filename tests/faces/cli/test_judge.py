"""`convolve test`; a file of that name would be collected as a test module twice over."""

import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss

from faces.cli.terminal import succeeds
from workflow.pictures import class_folders, rows_of


def test_the_json_has_what_scripts_read(run):
    figures = succeeds("test", run, "--json").json
    keys = {"task", "split", "n", "accuracy", "accuracy_ci95", "balanced_accuracy", "nll", "ece", "per_class"}
    assert keys <= figures.keys()
    assert (figures["task"], figures["split"], figures["n"]) == ("classify", "test", 8)
    assert figures["accuracy_ci95"][0] <= figures["accuracy"] <= figures["accuracy_ci95"][1]


def test_the_figures_follow_from_the_predictions(run):
    figures = succeeds("test", run, "--json").json
    rows = rows_of(run / "predictions.csv")
    truth = [row["truth"] for row in rows]
    assert len(rows) == figures["n"]
    assert balanced_accuracy_score(truth, [row["predicted"] for row in rows]) == pytest.approx(
        figures["balanced_accuracy"]
    )
    chances = [[float(row["p(cat)"]), float(row["p(dog)"])] for row in rows]
    assert log_loss(truth, chances, labels=["cat", "dog"]) == pytest.approx(figures["nll"], abs=1e-4)


@pytest.mark.parametrize(("split", "images"), [("train", 26), ("validation", 6), ("test", 8)])
def test_each_split_can_be_judged(split, images, run):
    figures = succeeds("test", run, "--split", split, "--json").json
    assert (figures["split"], figures["n"]) == (split, images)


def test_other_data_is_judged_by_its_labels_whatever_their_order(run, tmp_path):
    # Only the second class is there, so that its number in this data set is another than in the model.
    class_folders(tmp_path / "other", {"cat": 2, "dog": 5}, first=70)
    figures = succeeds("test", run, "--data", tmp_path / "other", "--json").json
    assert (figures["split"], figures["n"]) == ("all", 7)
    assert [(row["class"], row["n"]) for row in figures["per_class"]] == [("cat", 2), ("dog", 5)]


def test_people_get_a_table(run):
    out = succeeds("test", run).out
    assert "of 8 right (95 % interval" in out
    assert [line.split()[:2] for line in out.splitlines()[-2:]] == [["cat", "4"], ["dog", "4"]]
