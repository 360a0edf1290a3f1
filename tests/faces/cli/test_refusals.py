"""What cannot be done is said in two lines, with exit code 2, and leaves nothing behind and nothing changed."""

import json
import re
import shutil
from pathlib import Path

import pytest

from faces.cli.terminal import convolve, refused, succeeds
from workflow.pictures import QUICK, class_folders, table

KEYS = {
    "epoch=3": r"unknown key 'epoch'\n  Did you mean 'epochs'",
    "data.pth=x": "unknown key 'data.pth'\n  Did you mean 'data.path'",
    "train.epochs=zero": "train.epochs='zero'",
    "train.epochs=0": "train.epochs=0: .*greater than or equal to 1",
    "train.batch_size=-1": "train.batch_size=-1",
    "optimiser.lr=nan": "optimiser.lr",
    "seeds=0": "seeds=0",
    "seed=1.5": "seed=1.5",
    "budget=fast": "budget='fast'",
    "folds=1": "folds=1: one fold leaves nothing",
    "folds=41": "Ask for at most 40 folds",
    "task=segment": "task=segment: animals has classes",
    "network=lenet": "unknown network 'lenet'\n  Did you mean 'lenet5'",
    "network=timm:nope": "timm has no network 'nope'",
    "network=torchvision:resnet19": "Did you mean 'torchvision:resnet18'",
    "network.options.hiden=3": "network.options: unknown option 'hiden'\n  Did you mean 'hidden'",
    "network.options.hidden=abc": "network.options.hidden='abc'",
    "network.weights=gone.safetensors": "network.weights=gone.safetensors: there is no such file",
    "start=feature": "unknown start 'feature'\n  Did you mean 'features'",
    "start=runs/gone": "start=runs/gone: there is no such run or file",
    "start=features": "no pre-trained weights for network 'mlp'",
    "start.options.layer=last": "start.options: unknown option 'layer'",
    "optimiser=sdg": "unknown optimiser 'sdg'\n  Did you mean 'sgd'",
    "optimiser.options.momentun=0.9": "unknown option 'momentun'\n  Did you mean 'momentum'",
    "schedule=cosin": "unknown schedule 'cosin'\n  Did you mean 'cosine'",
    "schedule.options.x=1": "schedule.options: unknown option 'x'",
    "augment=foto": "unknown augmentation preset 'foto'\n  Did you mean 'photos'",
    "augment.rotat=3": "unknown augmentation 'rotat'\n  Did you mean 'rotate'",
    "augment.rotate=abc": "augment.rotate='abc'",
    "data.fit=squeeze": "data.fit='squeeze'",
    "data.test=0.99": "leave nothing to train on",
    "loss.class_weights=even": "loss.class_weights='even'",
    "compute.device=cuda:77": "compute.device='cuda:77': not on this machine",
    "=3": "'=3' is not key=value",
    "junk": "'junk' is not key=value",
}


@pytest.mark.parametrize("setting", KEYS)
def test_a_wrong_setting_is_refused_and_leaves_no_folder(setting, animals, elsewhere):
    out = elsewhere / "out"
    words = refused("train", animals, *QUICK, *(["folds=0"] if "folds" not in setting else []), setting, "--out", out)
    assert re.search(KEYS[setting], words), words
    # The mended command names the same folder, and must have it.
    assert not out.exists()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda here: here / "nothing", "no such file or folder"),
        (lambda here: _made(here / "empty"), "the folder is empty"),
        (lambda here: class_folders(here / "one", {"cat": 5}), "one class only, 'cat' with 5 images"),
        (lambda here: _all_broken(here), "no image of class dog can be used: dog/00.png"),
        (lambda here: _row_without_file(here), "line 4: image '77.png' is not in cat/\n.*data.missing=skip"),
    ],
    ids=["missing", "empty", "one class", "class broken", "missing file"],
)
def test_data_that_cannot_be_used_is_refused(make, words, elsewhere):
    data = make(elsewhere)
    assert re.search(words, refused("train", data, *QUICK, "folds=0", "--out", elsewhere / "out"))
    assert not (elsewhere / "out").exists()


def _made(folder):
    folder.mkdir()
    return folder


def _all_broken(here):
    data = class_folders(here / "broken", {"cat": 8, "dog": 3})
    for path in (data / "dog").iterdir():
        path.write_bytes(b"no image")
    return data


def _row_without_file(here):
    class_folders(here, {"cat": 1, "dog": 1})
    return table(here, "path,label", ["cat/00.png,cat", "dog/00.png,dog", "cat/77.png,cat"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data = [\n", "not a recipe in TOML"),
        ('network = "mlp"\n', "the recipe names no data"),
        ('task = "caption"\n[data]\npath = "digits"\n', "recipe.toml: task='caption'"),
        ("[data]\npath = 'digits'\n[train]\nepoch = 1\n", "recipe.toml: unknown key 'train.epoch'\n"),
        (None, "there is no such recipe\n.*convolve new"),
    ],
)
def test_a_recipe_that_cannot_be_read_is_refused(text, words, elsewhere):
    if text is not None:
        Path("recipe.toml").write_text(text)
    assert re.search(words, refused("train", "recipe.toml"))
    assert not Path("runs").exists()


def test_a_refused_default_folder_does_not_use_up_its_name(animals, elsewhere):
    refused("train", animals, *QUICK, "folds=0", "network=lenet")
    assert succeeds("train", animals, *QUICK, "folds=0", "--json").json["run"] == "runs/classify/animals"


def test_another_recipe_for_the_same_folder_is_refused_and_the_run_is_untouched(animals, run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert "train.epochs was 1, now 2" in refused("train", animals, *QUICK, "folds=0", "epochs=2", "--out", run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_folder_with_other_files_is_refused(animals, elsewhere):
    (elsewhere / "file").write_text("mine")
    for out in (animals, elsewhere / "file"):
        assert "exists and is not a run" in refused("train", animals, *QUICK, "folds=0", "--out", out)
    assert "cannot be made" in refused("train", animals, *QUICK, "folds=0", "--out", elsewhere / "file" / "below")
    assert (elsewhere / "file").read_text() == "mine"


def test_a_run_folder_that_is_no_run_is_refused(animals, elsewhere):
    assert "not a run: it has no request.json" in refused("test", animals)
    assert "not a run: it has no request.json" in refused("compare", animals, animals)
    assert "there is no such folder" in refused("test", "nothing")
    assert "there is no model.safetensors in it" in refused("predict", animals, animals)
    assert "there is no such model file" in refused("predict", "nothing", animals)
    assert "cut short or damaged" in refused("predict", animals / "cat" / "00.png", animals)


def test_a_run_that_is_not_finished_is_neither_tested_nor_compared(run, elsewhere):
    shutil.copytree(run, "unfinished")
    Path("unfinished/results.json").unlink()
    assert "not finished" in refused("test", "unfinished")
    assert "not finished" in refused("compare", "unfinished", run)


def test_labels_that_the_model_does_not_know_are_refused(run, elsewhere):
    other = class_folders(elsewhere / "other", {"cat": 2, "fox": 2})
    words = refused("test", run, "--data", other)
    assert "does not know the labels fox" in words
    assert "It knows: cat, dog" in words


def test_an_unknown_split_is_refused(run):
    assert "Known: train, validation, test" in refused("test", run, "--split", "tset")


def test_changed_data_is_not_tested_as_if_it_were_the_same(elsewhere):
    data = class_folders(elsewhere / "data", {"cat": 10, "dog": 10})
    succeeds("train", data, *QUICK, "folds=0", "--out", "out")
    class_folders(data, {"cat": 1, "dog": 1}, first=50)
    assert "the data changed since out was trained on it" in refused("test", "out")
    assert succeeds("test", "out", "--data", data, "--json").json["n"] == 22


@pytest.mark.parametrize("damage", [b"", None, b"{}"], ids=["emptied", "cut short", "no tensors"])
def test_a_damaged_model_is_refused(damage, run, animals, elsewhere):
    whole = (run / "model.safetensors").read_bytes()
    Path("model.safetensors").write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert "cut short or damaged" in refused("predict", "model.safetensors", animals)


def test_a_loss_that_is_no_number_says_the_step_and_keeps_the_checkpoint(animals, elsewhere):
    words = refused("train", animals, *QUICK, "folds=0", "epochs=3", "optimiser.lr=1e30", "--out", "out")
    assert re.search(r"no finite number any more at step 2 \(epoch 2\); the checkpoint of epoch 1 is kept", words)
    assert "optimiser.lr=" in words
    assert Path("out/checkpoint.safetensors").stat().st_size > 1000


def test_a_checkpoint_cut_short_is_refused_and_kept_until_its_owner_deletes_it(animals, elsewhere):
    command = ["train", animals, *QUICK, "folds=0", "epochs=3", "optimiser.lr=1e30", "--out", "out"]
    refused(*command)
    checkpoint = Path("out/checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    assert re.search("checkpoint.safetensors: cut short or damaged.*\n.*delete it", refused(*command))
    assert checkpoint.stat().st_size == 5000
    checkpoint.unlink()
    assert "no finite number" in refused(*command)


def test_other_refusals(run, elsewhere):
    assert "one run cannot be compared" in refused("compare", run)
    assert "no network is called 'nope*'" in refused("zoo", "nope*")
    assert "Known: show, clear" in refused("cache", "shw")
    assert "there is no folder gone" in refused("look", "digits", "--html", "gone/page.html")
    assert "there are no images in it" in refused("predict", run, _made(elsewhere / "empty"))
    assert "the folder is empty" in refused("look", elsewhere / "empty")


@pytest.mark.parametrize("words", [["trian"], ["train"], ["train", "digits", "--ouT", "x"], ["predict", "x"]])
def test_wrong_words_show_the_usage(words):
    answer = convolve(*words)
    assert (answer.code, answer.out) == (2, "")
    assert "Usage: convolve" in answer.err


def test_the_request_is_kept_as_asked(run, animals):
    assert json.loads((run / "request.json").read_text())["data"]["path"] == str(animals)
