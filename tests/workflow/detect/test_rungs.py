"""Every rung, several members, other images and other starts: each trains, says its figures, and predicts."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import convolve
from faces.cli.terminal import succeeds
from workflow.detect.shapes import FASTER, SETTINGS, SMALL_HEADS, SPLITS, drawn, voc_folder
from workflow.pictures import class_folders
from workflow.segment.scenes import UNET, split_folders

# Regions of a training image, so that R-CNN takes seconds.
RUNGS = {
    "rcnn": ("detect.options.regions=8", "batch_size=2"),
    "fast": SMALL_HEADS,
    "onestage": ("detect.options.width=16",),
}


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("rung", RUNGS)
def test_other_rungs_train_and_predict(rung, shapes, elsewhere):
    succeeds("train", shapes, *SETTINGS, f"detect={rung}", *RUNGS[rung], "epochs=1", "--out", "run")
    results = results_of(elsewhere / "run")
    assert (results["detect"], results["test"]["n"]) == (rung, len(SPLITS["test"]))
    answer = succeeds("predict", "run", shapes / "JPEGImages" / "18.png", "--threshold", 0, "--json").json
    assert all(len(one["box"]) == 4 for one in answer["boxes"])


def test_folds_judge_every_image_and_seeds_every_training(shapes, elsewhere):
    succeeds("train", shapes, *FASTER, "epochs=1", "folds=2", "--out", "folds")
    assert results_of(elsewhere / "folds")["out_of_fold"]["n"] == 18
    succeeds("train", shapes, *FASTER, "epochs=1", "seeds=2", "--out", "seeds")
    members = results_of(elsewhere / "seeds")["members"]
    assert len(members) == 2
    assert members[0]["map"] is not None


@pytest.mark.parametrize(
    ("of_folder", "channels"),
    [
        ({"grey": True}, 1),
        ({"sizes": [(96, 128), (80, 70), (150, 90)], "empty": [0, 1, 2, 15, 18, 19]}, 3),
    ],
)
def test_grey_images_sizes_of_all_kinds_and_images_without_objects(of_folder, channels, elsewhere):
    data = voc_folder(elsewhere / "data", **of_folder)
    succeeds("train", data, *FASTER, "epochs=1", "--out", "run")
    model = convolve.load(elsewhere / "run")
    assert model.preprocessing.channels == channels
    objects = 2 * sum(number not in of_folder.get("empty", ()) for number in SPLITS["test"])
    assert results_of(elsewhere / "run")["test"]["objects"] == objects


def test_images_larger_than_the_crop_are_trained_by_crops_and_seen_by_tiles(shapes, elsewhere):
    succeeds("train", shapes, *FASTER, "detect.side=256", "detect.crop=128", "epochs=1", "--out", "run")
    model = convolve.load(elsewhere / "run")
    assert (model.tile, model.preprocessing.side) == (128, 256)
    found = model.detect(drawn(50)[0])
    assert (found.corners <= (128, 96) * 2).all()


def carried(start, mine):
    """How many tensors of a model's backbone, by value, are those of a training that changed none of them."""
    theirs = [tensor for tensor in load_file(start).values() if tensor.ndim == 4]
    return sum(any(t.shape == m.shape and torch.equal(t, m) for m in mine) for t in theirs)


@pytest.mark.parametrize("task", ["classify", "segment", "detect"])
def test_a_run_of_any_task_is_a_start(task, shapes, finished, elsewhere):
    start = elsewhere / "start"
    if task == "classify":
        pictures = class_folders(elsewhere / "pictures", {"cat": 8, "dog": 8})
        small = [word for word in SETTINGS if not word.startswith("detect")]
        succeeds("train", pictures, *small, "folds=0", "epochs=1", "start=scratch", "--out", start)
    elif task == "segment":
        # The backbone of these has the detector's width.
        wide = [word for word in UNET if "width" not in word]
        succeeds(
            "train", split_folders(elsewhere / "scenes"), *wide, "network.options.width=8", "epochs=1", "--out", start
        )
    else:
        start = finished
    rest = [word for word in FASTER if not word.startswith("network")]
    succeeds("train", shapes, *rest, f"start={start}", "start.options.stages=1", "epochs=1", "--out", "run")
    plan = json.loads((elsewhere / "run" / "plan.json").read_text())
    assert plan["recipe"]["network"]["options"] == {"depth": 8, "width": 8}
    mine = list(load_file(elsewhere / "run" / "model.safetensors").values())
    # All convolutions but those of the last level stayed as they came.
    assert carried(start / "model.safetensors", mine) >= 3


def test_a_classifier_starts_from_a_detector(finished, elsewhere):
    pictures = class_folders(elsewhere / "pictures", {"cat": 8, "dog": 8})
    succeeds("train", pictures, f"start={finished}", "budget=none", "folds=0", "epochs=1", "--out", "run")
    assert json.loads((elsewhere / "run" / "plan.json").read_text())["recipe"]["network"]["name"] == "residual"
    theirs = {t.shape: t for t in load_file(finished / "model.safetensors").values() if t.ndim == 4}
    mine = [t for t in load_file(elsewhere / "run" / "model.safetensors").values() if t.ndim == 4]
    assert any(np.array_equal(tensor, theirs[tensor.shape]) for tensor in mine if tensor.shape in theirs)
