"""Runs of several trainings, and trainings that begin with another's weights."""

import json
import shutil

import pytest
import torch
from PIL import Image

from convolve.deploy.segmentation.model import load_segmentation_model
from faces.cli.terminal import refused, succeeds
from workflow.pictures import class_folders, rows_of
from workflow.segment.scenes import COMMON, COMPUTE, UNET


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


def tensors(folder):
    return load_segmentation_model(folder / "model.safetensors").network.state_dict()


def encoder(folder):
    """The backbone's parameters and statistics."""
    own = {name: tensor for name, tensor in tensors(folder).items() if name.startswith("pyramid.")}
    assert len(own) > 20
    return own


@pytest.fixture(scope="module")
def folded(tiles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "folded"
    succeeds("train", tiles, *UNET, "epochs=1", "folds=3", "data.test_groups=['west']", "--out", folder)
    return folder


def test_folds_judge_every_image_once_and_part_no_group(folded):
    results = results_of(folded)
    names = {row["image"]: row["split"] for row in rows_of(folded / "split.csv")}
    assert len(names) == 12
    assert {name.split("/")[0] for name, split in names.items() if split == "test"} == {"west"}
    every = [one["name"] for one in results["out_of_fold"]["per_image"]]
    assert sorted(every) == sorted(name for name, split in names.items() if split != "test")
    assert [one["name"] for one in results["members"]] == ["fold-0", "fold-1", "fold-2"]
    places = [{image["name"].split("/")[0] for image in one["per_image"]} for one in results["members"]]
    assert sorted(map(sorted, places)) == [["east"], ["north"], ["south"]]
    assert (results["out_of_fold"]["n"], results["out_of_fold"]["groups"]) == (9, 3)
    assert (results["test"]["n"], results["test"]["groups"]) == (3, 1)


def test_the_figures_out_of_fold_are_the_folds_added_up(folded):
    results = results_of(folded)
    summed = sum(torch.tensor(one["confusion"]) for one in results["members"])
    assert results["out_of_fold"]["confusion"] == summed.tolist()
    assert results["out_of_fold"]["temperature"] == [one["temperature"] for one in results["members"]]


def test_test_groups_that_are_not_there_are_named(tiles, elsewhere):
    assert "Did you mean 'west'?" in refused("train", tiles, *UNET, "data.test_groups=['wets']", "--out", "out")


def test_of_two_seeds_the_run_takes_the_one_that_did_best_on_validation_images(scenes, elsewhere):
    succeeds("train", scenes, *UNET, "seeds=2", "seed=5", "--out", "out")
    results = results_of(elsewhere / "out")
    assert [one["name"] for one in results["members"]] == ["seed-5", "seed-6"]
    models = [(elsewhere / "out" / f"seed-{seed}" / "model.safetensors").read_bytes() for seed in (5, 6)]
    assert models[0] != models[1]
    kept = [json.loads((elsewhere / "out" / f"seed-{seed}" / "trained.json").read_text()) for seed in (5, 6)]
    best = max((0, 1), key=lambda place: kept[place]["validation"]["mean_iou"])
    assert (elsewhere / "out" / "model.safetensors").read_bytes() == models[best]
    assert results["test"]["mean_iou"] == results["members"][best]["mean_iou"]


def test_a_run_on_masks_begins_where_another_ended(finished, scenes, elsewhere):
    command = ("train", scenes, *COMMON, "segment=unet", "epochs=1", "batch_size=4", f"start={finished}", "lr=1e-9")
    succeeds(*command, "--out", "out")
    before, after = encoder(finished), encoder(elsewhere / "out")
    weights = [name for name in before if name.endswith(".weight")]
    assert all(torch.allclose(before[name], after[name], atol=1e-5) for name in weights)
    recipe = json.loads((elsewhere / "out" / "plan.json").read_text())["recipe"]
    assert (recipe["start"]["name"], recipe["network"]["name"]) == ("finetune", "residual")
    assert recipe["network"]["options"] == {"depth": 8, "width": 4}


@pytest.mark.parametrize(
    ("start", "moving"),
    [
        (("start=features",), set()),
        # As tests/training/test_maps.py has it, here from the command line.
        pytest.param(("start=finetune", "start.options.stages=1"), {"2"}, marks=pytest.mark.slow),
    ],
)
def test_frozen_stages_stay_bit_identical(finished, scenes, elsewhere, start, moving):
    weights = f"network.weights={finished / 'model.safetensors'}"
    # Enough that the best epoch is not the one before training.
    command = ("train", scenes, *COMMON, "segment=unet", "epochs=6", "batch_size=4", "lr=0.01", weights)
    succeeds(*command, *start, "--out", "out")
    assert results_of(elsewhere / "out")["test"]["mean_iou"] > 0.3
    before, after = encoder(finished), encoder(elsewhere / "out")
    assert before.keys() == after.keys()
    moved = {name.split(".")[2] for name in before if not torch.equal(before[name], after[name])}
    assert moved == moving
    others = [name for name in tensors(finished) if name not in before and name.endswith("weight")]
    ours, theirs = tensors(elsewhere / "out"), tensors(finished)
    assert not any(torch.equal(ours[name], theirs[name]) for name in others)


def test_grey_images_begin_with_the_weights_of_coloured_ones(finished, scenes, elsewhere):
    shutil.copytree(scenes, "grey")
    for path in (elsewhere / "grey").glob("*/images/*.png"):
        Image.open(path).convert("L").save(path)
    settings = ("segment=unet", "epochs=1", "batch_size=4", "start=finetune", f"network.weights={finished}")
    succeeds("train", "grey", *COMMON, *settings, "--out", "out")
    coloured, grey = (load_segmentation_model(folder / "model.safetensors") for folder in (finished, elsewhere / "out"))
    assert grey.preprocessing.channels == 1
    assert grey.preprocessing.mean == pytest.approx([sum(coloured.preprocessing.mean) / 3])


def test_a_classifier_begins_where_a_run_on_masks_ended(finished, elsewhere):
    animals = class_folders(elsewhere / "animals", {"cat": 8, "dog": 8}, hw=(32, 32))
    settings = ("image_size=32", "epochs=1", "folds=0", "budget=none", *COMPUTE, f"start={finished}")
    answer = succeeds("train", animals, *settings, "--out", "out")
    # The backbone's tensors are all that both have.
    assert "42 of 42 tensors loaded" in answer.err
    assert json.loads((elsewhere / "out" / "results.json").read_text())["network"] == "residual"
