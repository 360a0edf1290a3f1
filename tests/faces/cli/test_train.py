import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faces.cli.terminal import succeeds
from workflow.pictures import QUICK, class_folders, picture, rows_of, table


def test_the_json_has_what_scripts_read(animals, elsewhere):
    result = succeeds("train", animals, *QUICK, "folds=0", "--out", "out", "--json").json
    assert {"run", "task", "network", "seconds", "images_per_second", "epochs", "best"} <= result.keys()
    assert (result["run"], result["task"], result["network"], result["epochs"]) == ("out", "classify", "mlp", 1)
    assert 0 < result["seconds"] < 60
    assert result["images_per_second"] > 0
    assert Path(result["report"]).read_text().lower().startswith("<!doctype html>")


def test_people_get_the_result_and_the_report_on_stdout_and_the_reasons_on_stderr(animals, elsewhere):
    answer = succeeds("train", animals, *QUICK, "folds=0", "--out", "out")
    assert re.search(r"right of 8 test images \(95 % interval", answer.out)
    assert "report: out/report.html" in answer.out
    assert "start.name = scratch: there are no pre-trained weights" in answer.err
    assert "forecast: 1 epochs of 26 images" in answer.err


def test_the_same_command_again_says_that_it_is_finished(run, animals):
    before = (run / "results.json").stat().st_mtime_ns
    answer = succeeds("train", animals, *QUICK, "folds=0", "--out", run, "--json")
    assert answer.err == f"{run}: this training is finished already\n"
    assert answer.json["network"] == "mlp"
    assert (run / "results.json").stat().st_mtime_ns == before


def test_without_out_each_training_has_the_next_free_folder(animals, elsewhere):
    command = ["train", animals, *QUICK, "folds=0", "--json"]
    assert [succeeds(*command).json["run"] for _ in range(2)] == ["runs/classify/animals", "runs/classify/animals-2"]


def test_the_recipe_of_a_run_gives_the_same_model_again(animals, elsewhere):
    succeeds("train", animals, *QUICK, "epochs=2", "folds=0", "--out", "first")
    succeeds("train", "first/recipe.toml", "--out", "second")
    first, second = (Path(folder, "model.safetensors").read_bytes() for folder in ("first", "second"))
    assert len(first) > 10_000
    assert first == second


def test_folds_judge_every_image_once_by_a_model_that_never_saw_it(animals, elsewhere):
    result = succeeds("train", animals, *QUICK, "folds=3", "--out", "out", "--json").json
    assert result["out_of_fold"]["n"] == 40
    rows = rows_of(Path("out/predictions.csv"))
    assert {row["judged"] for row in rows} == {"out-of-fold"}
    expected = sorted(f"{name}/{number:02}.png" for name in ("cat", "dog") for number in range(20))
    assert sorted(row["image"] for row in rows) == expected
    assert result["out_of_fold"]["accuracy"] == np.mean([row["truth"] == row["predicted"] for row in rows])


def test_an_out_of_fold_prediction_is_made_by_the_model_of_its_own_fold(animals, elsewhere):
    # That this model was trained without the image is shown in tests/workflow/test_data.py.
    result = succeeds("train", animals, *QUICK, "folds=2", "--out", "out", "--json").json
    rows = rows_of(Path("out/predictions.csv"))
    written = np.array([float(row["p(cat)"]) for row in rows])
    images = [animals / row["image"] for row in rows]
    by_fold = []
    for fold in range(2):
        lines = succeeds("predict", f"out/fold-{fold}/model.safetensors", *images, "--json").out.splitlines()
        by_fold.append([json.loads(line)["probabilities"]["cat"] for line in lines])
    first = result["members"][0]["n"]
    np.testing.assert_allclose(written, [*by_fold[0][:first], *by_fold[1][first:]], atol=2e-5)
    assert np.abs(written - [*by_fold[1][:first], *by_fold[0][first:]]).max() > 1e-3


def test_seeds_are_trained_each_and_the_best_on_validation_becomes_the_model(animals, elsewhere):
    result = succeeds("train", animals, *QUICK, "folds=0", "seeds=2", "seed=5", "--out", "out", "--json").json
    assert [member["name"] for member in result["members"]] == ["seed-5", "seed-6"]
    models = [Path(f"out/seed-{seed}/model.safetensors").read_bytes() for seed in (5, 6)]
    assert models[0] != models[1]
    assert Path("out/model.safetensors").read_bytes() in models
    assert succeeds("test", "out", "--json").json["n"] == 8


def test_given_splits_without_a_test_split_are_cross_validated_and_that_is_said(elsewhere):
    for first, split in enumerate(("train", "val")):
        class_folders(Path("data") / split, {"cat": 8, "dog": 8}, first=10 * first)
    answer = succeeds("train", "data", *QUICK, "--out", "out")
    assert "folds = 5: the data has no test split, so every image is tested once" in answer.err
    assert "right of 32 images, each by a model that never saw it" in answer.out
    assert succeeds("test", "out", "--json").json["split"] == "out-of-fold"


def test_given_splits_are_kept(elsewhere):
    for first, split in enumerate(("train", "valid", "test")):
        class_folders(Path("data") / split, {"cat": 6, "dog": 6}, first=10 * first)
    result = succeeds("train", "data", *QUICK, "--out", "out", "--json").json
    assert result["test"]["n"] == 12
    splits = {row["image"]: row["split"] for row in rows_of(Path("out/split.csv"))}
    assert len(splits) == 36
    named = {"train": "train", "valid": "validation", "test": "test"}
    assert all(split == named[image.split("/")[0]] for image, split in splits.items())


@pytest.mark.parametrize("folds", [0, 3])
def test_a_group_is_never_split(folds, elsewhere):
    rows = []
    for number in range(60):
        picture(Path(f"{number:02}.png"), number % 2, number)
        rows.append(f"{number:02}.png,{'cd'[number % 2]},g{number // 4}")
    table(elsewhere, "path,label,group", rows)
    succeeds("train", ".", *QUICK, f"folds={folds}", "--out", "out")
    if folds:
        # An image's fold is that whose model judged it: predictions come fold by fold.
        names = [row["image"] for row in rows_of(Path("out/predictions.csv"))]
        members = json.loads(Path("out/results.json").read_text())["members"]
        sides = dict(zip(names, np.repeat(range(folds), [member["n"] for member in members]), strict=True))
    else:
        sides = {row["image"]: row["split"] for row in rows_of(Path("out/split.csv"))}
    assert len(sides) == 60
    assert len(set(sides.values())) == 3
    by_group = [{side for name, side in sides.items() if int(name[:2]) // 4 == group} for group in range(15)]
    assert [len(of_group) for of_group in by_group] == [1] * 15


def test_several_labels_an_image_from_a_table_to_predictions(elsewhere):
    names = [["red"], ["green"], ["red", "green"], []]
    rows = []
    for number in range(80):
        labels = names[number % 4]
        pixels = np.random.default_rng(number).integers(0, 60, (16, 16, 3))
        for channel, name in enumerate(("red", "green")):
            pixels[:, :, channel] += 180 * (name in labels)
        Image.fromarray(pixels.astype(np.uint8)).save(f"{number:02}.png")
        rows.append(f"{number:02}.png,{'|'.join(labels)}")
    table(elsewhere, "path,label", rows)
    settings = [*QUICK, "epochs=30", "augment=none", "folds=0"]
    trained = succeeds("train", ".", *settings, "--out", "out", "--json").json
    assert trained["test"]["accuracy_is"] == "exact match: every class of an image right"
    assert trained["test"]["accuracy"] >= 0.9
    judged = succeeds("test", "out", "--json").json
    assert [row["class"] for row in judged["per_class"]] == ["green", "red"]
    answers = [
        json.loads(line)
        for line in succeeds("predict", "out", *[f"0{n}.png" for n in range(4)], "--json").out.splitlines()
    ]
    assert [set(answer["label"]) for answer in answers] == [set(labels) for labels in names]
    assert all(answer.keys() >= {"image", "label", "probability", "probabilities"} for answer in answers)
    assert "03.png: none (" in succeeds("predict", "out", "03.png").out


def test_a_budget_cuts_the_epochs_and_says_so(animals, elsewhere):
    answer = succeeds("train", animals, *QUICK, "epochs=1000", "budget=0.05", "folds=0", "--out", "out", "--json")
    epochs = answer.json["epochs"]
    assert 1 <= epochs < 1000
    assert f"train.epochs = {epochs}: 1000 would be usual; the budget allows {epochs}" in answer.err
    assert tomllib.loads(Path("out/recipe.toml").read_text())["train"]["epochs"] == epochs


def test_uneven_classes_are_weighted_and_that_is_said(elsewhere):
    data = class_folders(elsewhere / "data", {"cat": 32, "dog": 8})
    answer = succeeds("train", data, *QUICK, "folds=0", "--out", "out")
    assert "loss.class_weights = sqrt: the classes are uneven (largest to smallest 4" in answer.err
    assert "rarest dog" in answer.err


def test_a_broken_image_is_named_left_out_and_counted(elsewhere):
    data = class_folders(elsewhere / "data", {"cat": 10, "dog": 10})
    (data / "cat" / "03.png").write_bytes(b"no image")
    answer = succeeds("train", data, *QUICK, "folds=0", "--out", "out", "--json")
    assert (answer.json["images"], answer.json["left_out"]) == (19, 1)
    assert "left out: cat/03.png: " in answer.err
    assert "cat/03.png" in Path("out/report.html").read_text()
    assert "cat/03.png,broken," in Path("out/split.csv").read_text()


def test_a_class_with_one_image_is_trained_with_a_warning(elsewhere):
    data = class_folders(elsewhere / "data", {"cat": 12, "dog": 12, "fox": 1})
    answer = succeeds("train", data, *QUICK, "folds=0", "--out", "out")
    assert "one image only of fox" in answer.err


def test_rows_without_files_are_skipped_on_demand(elsewhere):
    class_folders(elsewhere, {"cat": 10, "dog": 10})
    rows = [f"{name}/{number:02}.png,{name}" for name in ("cat", "dog") for number in range(11)]
    table(elsewhere, "path,label", rows)
    answer = succeeds("train", "labels.csv", *QUICK, "data.missing=skip", "folds=0", "--out", "out", "--json")
    assert (answer.json["images"], answer.json["left_out"]) == (20, 2)


def test_every_kind_of_image_trains_together_and_long_ones_are_padded(elsewhere):
    for number in range(8):
        for mode, ending in (("L", "png"), ("RGB", "png"), ("RGBA", "png"), ("P", "gif"), ("CMYK", "jpg")):
            for colour, name in enumerate(("cat", "dog")):
                picture(Path("data") / name / f"{mode}{number}.{ending}", colour, number, hw=(16, 28), mode=mode)
        deep = np.random.default_rng(number).integers(0, 65536, (28, 16), dtype=np.uint16)
        Image.fromarray(deep).save(f"data/{'cat' if number % 2 else 'dog'}/deep{number}.png")
    answer = succeeds("train", "data", *QUICK, "folds=0", "--out", "out", "--json")
    assert (answer.json["images"], answer.json["left_out"]) == (88, 0)
    assert "data.fit = pad: " in answer.err
