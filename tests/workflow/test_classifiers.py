"""`start=features` end to end: against an independent computation, and from the file it leaves."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from convolve.deploy.model import load_model, weights_of_model
from convolve.errors import UserError
from convolve.progress import silent
from convolve.run.tensors import read_tensors
from convolve.workflow.data import open_data
from convolve.workflow.planning import planned_members, prepare_planned, read_plan
from convolve.workflow.recipes import recipe_from
from convolve.workflow.train import train

SETTINGS = ["network=residual", "network.options.depth=8", "compute.precision=float32"]


def trained(out, *settings):
    recipe = recipe_from("digits", [*SETTINGS, *settings])
    return train(recipe, out=out, progress=silent, say=lambda sentence: None)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def first(tmp_path):
    return trained(tmp_path / "first", "epochs=1", "budget=none", "augment=none")


def test_features_and_logistic_regression_are_those_of_an_independent_computation(first, tmp_path):
    run = trained(tmp_path / "run", f"weights={first.model}", "start=features", "start.options.layers=last")
    plan = read_plan(run)
    prepared = prepare_planned(plan.recipe, open_data(plan.recipe.data, silent), plan.preprocessing, silent)
    member = planned_members(plan, prepared)[-1]
    backbone = load_model(first.model).network.backbone
    pixels = torch.tensor(np.asarray(prepared.pack.images)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        features = backbone(plan.preprocessing.normalise(pixels)).double().numpy()
    labels = np.array([sample.target.index for sample in prepared.dataset.samples])
    rows = np.sort(np.concatenate([member.train, member.validation]))
    scaler = StandardScaler().fit(features[rows])
    (sentence,) = [note for note in run.read("results")["notes"] if "Classifier" in note]
    penalty = float(sentence.split()[-1].rstrip("."))
    reference = LogisticRegression(C=1 / (penalty * len(rows)), max_iter=10_000, tol=1e-9)
    reference.fit(scaler.transform(features[rows]), labels[rows])
    ours = read_tensors(run.folder / "outputs.safetensors", "outputs")[0]["outputs"].double().softmax(dim=1)
    theirs = reference.predict_proba(scaler.transform(features[member.held_out]))
    assert np.abs(ours.numpy() - theirs).max() < 1e-3
    assert (ours.argmax(dim=1).numpy() == theirs.argmax(axis=1)).mean() > 0.995


def test_a_kernel_machine_on_an_inner_layer_predicts_from_its_file_and_is_a_start_again(first, tmp_path):
    settings = [f"weights={first.model}", "start=features", "start.options.classifier=rbf-svm"]
    settings += ["start.options.symmetry=mirror"]
    inner = list(dict(load_model(first.model).network.backbone.named_children()))[-2]
    run = trained(tmp_path / "run", *settings, f'start.options.layers=["{inner}"]')
    assert run.read("results")["test"]["accuracy"] > 0.5
    model = load_model(run.model)
    assert model.architecture["head"] == "support-vectors"
    assert not model.architecture["last"]
    plan = read_plan(run)
    prepared = prepare_planned(plan.recipe, open_data(plan.recipe.data, silent), plan.preprocessing, silent)
    rows = planned_members(plan, prepared)[-1].held_out[:40]
    kept = read_tensors(run.folder / "outputs.safetensors", "outputs")[0]["outputs"][:40]
    torch.testing.assert_close(model.outputs(np.asarray(prepared.pack.images[rows])), kept, atol=1e-3, rtol=1e-3)
    names = {name for name in load_file(first.model) if name.startswith("backbone.")}
    assert weights_of_model(run.model).load().keys() == names
    again = trained(tmp_path / "again", f"start={run.folder}", "epochs=1", "budget=none")
    assert again.read("results")["test"]["accuracy"] > 0.5
    assert "trained on 'digits' before" in again.read("plan")["reasons"]["network.weights"]


def test_a_layer_that_does_not_exist_is_refused_before_images_are_decoded(first, tmp_path):
    with pytest.raises(UserError, match="no layer 'stage9'"):
        trained(tmp_path / "run", f"weights={first.model}", "start=features", 'start.options.layers=["stage9"]')
    assert not (tmp_path / "run").exists()
