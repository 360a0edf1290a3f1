"""A finished run as the start of another training."""

import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from convolve.errors import UserError
from convolve.progress import silent
from convolve.workflow.own_weights import with_own_weights
from convolve.workflow.recipes import recipe_from
from convolve.workflow.train import train
from workflow.pictures import class_folders

QUICKLY = ["compute.precision=float32", "compute.memory_format=contiguous", "compute.engine=torch", "budget=none"]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(folder / "cache"))
        recipe = recipe_from("digits", ["network=lenet5", "network.options.squash=tanh", "epochs=1", *QUICKLY])
        yield train(recipe, out=folder / "run", progress=silent, say=lambda sentence: None)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    return class_folders(tmp_path / "data", {"cat": 12, "dog": 12})


def test_a_run_on_grey_digits_is_a_start_for_colour_pictures(first, pictures, tmp_path):
    said = []
    recipe = recipe_from(str(pictures), [f"start={first.folder}", "folds=0", *QUICKLY])
    run = train(recipe, out=tmp_path / "out", progress=silent, say=said.append)
    plan = run.read("plan")
    assert plan["recipe"]["network"]["name"] == "lenet5"
    assert plan["recipe"]["network"]["options"] == {"squash": "tanh"}
    assert plan["recipe"]["start"]["name"] == "features"
    assert plan["preprocessing"]["channels"] == 3
    assert plan["weights"]["adapted"] == ["0.weight"]
    assert plan["weights"]["new"] == []
    assert any(re.match(r"weights: \d+ of \d+ tensors loaded from", sentence) for sentence in said)
    assert "tensors loaded" in run.report.read_text()
    theirs = load_file(first.model)["backbone.0.weight"]
    mine = next(tensor for name, tensor in load_file(run.model).items() if name.endswith("backbone.0.weight"))
    torch.testing.assert_close(mine, theirs.expand(-1, 3, -1, -1) / 3)


def test_weights_that_changed_do_not_go_on(first, pictures, tmp_path):
    file = tmp_path / "start.safetensors"
    file.write_bytes(first.model.read_bytes())
    recipe = recipe_from(str(pictures), [f"start={file}", "folds=0", *QUICKLY])
    run = train(recipe, out=tmp_path / "out", progress=silent, say=lambda sentence: None)
    for name in ("results.json", "outputs.safetensors"):
        (run.folder / name).unlink()
    with safe_open(file, framework="pt") as kept:
        card, tensors = kept.metadata(), {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
    tensors["backbone.0.weight"][0, 0, 0, 0] += 1e-3
    save_file(tensors, file, metadata=card)
    with pytest.raises(UserError, match="changed since this training began"):
        train(recipe, out=run.folder, progress=silent, say=lambda sentence: None)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["network=residual"], "network=residual: the weights of .* are for network 'lenet5'"),
        (["network.options.squash=relu"], "network.options.squash=relu: the network of .* has tanh"),
        (["weights=other.pth"], "contradict each other"),
    ],
)
def test_what_contradicts_the_run_is_said(settings, words, first):
    with pytest.raises(UserError, match=words):
        with_own_weights(recipe_from("digits", [f"start={first.folder}", *settings]))


def test_places_without_weights_are_said(tmp_path):
    with pytest.raises(UserError, match="there is no such run or file"):
        with_own_weights(recipe_from("digits", [f"start={tmp_path / 'gone'}"]))
    with pytest.raises(UserError, match=r"no finished run: it has no model.safetensors"):
        with_own_weights(recipe_from("digits", [f"start={tmp_path}"]))
    (tmp_path / "plain.pth").write_bytes(b"")
    with pytest.raises(UserError, match="does not say which network"):
        with_own_weights(recipe_from("digits", [f"start={tmp_path / 'plain.pth'}"]))
