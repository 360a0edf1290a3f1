"""What a finished run says of its model, and whether others come to the same."""

import json

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image
from sklearn.metrics import accuracy_score, jaccard_score

from faces.cli.terminal import succeeds
from workflow.pictures import rows_of
from workflow.segment.scenes import CLASSES, SPLITS, VOID, mask_file


@pytest.fixture(scope="module")
def results(finished):
    return json.loads((finished / "results.json").read_text())


@pytest.fixture(scope="module")
def predicted(finished, scenes, tmp_path_factory):
    """The test images' (truth, labels) as the files say them, by name."""
    out = tmp_path_factory.mktemp("predicted")
    succeeds("predict", finished, scenes / "test" / "images", "--out", out)
    names = [f"test/images/{number:02}.png" for number in SPLITS["test"]]
    return {
        name: (mask_file(scenes, name), np.array(Image.open(out / "labels" / name.rsplit("/", 1)[1]))) for name in names
    }


def counted(pairs):
    """Truth and prediction of all pixels that have a class."""
    truth, labels = (np.concatenate([maps[place].ravel() for maps in pairs]) for place in (0, 1))
    return truth[truth != VOID], labels[truth != VOID]


def test_it_learned_what_the_classes_look_like(results):
    assert results["task"] == "segment"
    assert results["segment"] == "unet"
    assert results["test"]["mean_iou"] > 0.6
    assert results["prediction_seconds"] > 0


def test_test_repeats_the_trainings_own_figures(finished, results):
    answer = succeeds("test", finished, "--json").json
    assert answer.keys() >= {"task", "split", "n", "pixel_accuracy", "mean_iou", "mean_iou_ci95", "per_class"}
    assert (answer.pop("task"), answer.pop("left_out")) == ("segment", 0)
    assert answer == results["test"]
    assert (answer["split"], answer["n"]) == ("test", 4)


def test_the_figures_are_scikit_learns_of_the_files_that_predict_writes(results, predicted):
    truth, labels = counted(predicted.values())
    told = results["test"]
    by_class = jaccard_score(truth, labels, labels=range(3), average=None)
    assert [row["class"] for row in told["per_class"]] == list(CLASSES)
    np.testing.assert_allclose([row["iou"] for row in told["per_class"]], by_class, rtol=1e-12)
    assert told["mean_iou"] == pytest.approx(by_class.mean(), rel=1e-12)
    assert told["pixel_accuracy"] == pytest.approx(accuracy_score(truth, labels), rel=1e-12)
    assert told["pixels"] == truth.size
    assert told["ignored_pixels"] == 4 * 64 * 80 - truth.size > 0


def test_the_table_of_predictions_has_the_figures_of_every_image(finished, predicted):
    rows = rows_of(finished / "predictions.csv")
    assert len(rows) == len(predicted) == 4
    for row, (name, pair) in zip(rows, predicted.items(), strict=True):
        truth, labels = counted([pair])
        assert (row["image"], row["judged"]) == (name, "test")
        assert float(row["pixel_accuracy"]) == pytest.approx(accuracy_score(truth, labels), abs=1e-6)
        present = np.union1d(truth, labels)
        expected = jaccard_score(truth, labels, labels=present, average="macro")
        assert float(row["mean_iou"]) == pytest.approx(expected, abs=1e-6)


def test_other_splits_and_other_data_are_judged_too(finished, scenes, results):
    train = succeeds("test", finished, "--split", "train", "--json").json
    assert (train["split"], train["n"]) == ("train", 8)
    there = succeeds("test", finished, "--data", scenes, "--json").json
    assert {name: there[name] for name in ("split", "n", "mean_iou", "confusion")} == {
        name: results["test"][name] for name in ("split", "n", "mean_iou", "confusion")
    }


def test_the_report_stands_alone(finished):
    page = BeautifulSoup((finished / "report.html").read_text(), "html.parser")
    links = [element[name] for name in ("src", "href") for element in page.find_all(attrs={name: True})]
    assert len([link for link in links if link.startswith("data:image/")]) >= 4
    assert [link for link in links if not link.startswith(("#", "data:image/"))] == []
    assert all(name in page.text for name in CLASSES)


def test_every_image_is_in_the_split_that_its_folder_names(finished):
    rows = rows_of(finished / "split.csv")
    folders = {"train": "train", "val": "validation", "test": "test"}
    assert len(rows) == 15
    assert all(row["split"] == folders[row["image"].split("/")[0]] for row in rows)
