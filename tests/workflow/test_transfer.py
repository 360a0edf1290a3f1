"""The transfer ladder on real scans, from the weights of a model of our own."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from convolve.errors import UserError
from convolve.progress import silent
from convolve.workflow.recipes import recipe_from
from convolve.workflow.train import train

SETTINGS = ["network=residual", "network.options.depth=8", "budget=none", "augment=none"]


def trained(out: Path, *settings: str):
    recipe = recipe_from("digits", [*SETTINGS, *settings])
    return train(recipe, out=out, progress=silent, say=lambda sentence: None)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(folder / "cache"))
        yield trained(folder / "run", "epochs=2")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


def backbone(run, prefix: str):
    tensors = load_file(run.model)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def test_features_leave_the_backbone_and_fit_a_better_head(first, tmp_path):
    run = trained(tmp_path / "run", f"weights={first.model}", "start=features")
    before, after = backbone(first, "backbone."), backbone(run, "backbone.backbone.")
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
    results = run.read("results")
    assert results["epochs"] == 0
    # Two epochs are short; a linear classifier at its optimum on the same features is well ahead.
    assert results["test"]["accuracy"] > first.read("results")["test"]["accuracy"]


def test_features_use_the_preprocessing_of_the_weights(first, tmp_path):
    run = trained(tmp_path / "run", f"weights={first.model}", "start=features", "seed=5")
    mine, theirs = (one.read("plan")["preprocessing"] for one in (run, first))
    assert mine["mean"] == theirs["mean"]
    assert mine["std"] == theirs["std"]


def test_finetuning_goes_on_from_the_linear_classifier(first, tmp_path):
    run = trained(tmp_path / "run", f"weights={first.model}", "start=finetune", "epochs=1", "lr=0.01")
    assert len((run.folder / "history.jsonl").read_text().splitlines()) == 1
    assert run.read("results")["test"]["accuracy"] > 0.9


def test_finetuning_that_only_harms_is_undone(first, tmp_path):
    run = trained(tmp_path / "run", f"weights={first.model}", "start=finetune", "epochs=1", "lr=0.5")
    before, after = backbone(first, "backbone."), backbone(run, "backbone.")
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
    assert "improved nothing" in " ".join(run.read("results")["notes"])


def test_without_weights_there_is_nothing_to_transfer(tmp_path):
    with pytest.raises(UserError, match="no pre-trained weights for network 'residual'"):
        trained(tmp_path / "run", "start=features")
