"""The ladder of depth on scans of digits: rungs that are networks."""

import json

import pytest
import torch
from bs4 import BeautifulSoup
from torch import nn

from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.progress import silent
from convolve.recipe.file import make_recipe
from convolve.recipe.values import override
from convolve.workflow.ladder import climb
from convolve.workflow.ladders import LADDERS
from convolve.workflow.recipes import recipe_from

SETTINGS = ("epochs=1", "budget=none", "augment=none", "data.per_class=20", "data.test=0.1")


def climbed(out, *settings, rungs=()):
    recipe = recipe_from("digits", [*SETTINGS, *settings])
    return climb("depth", recipe, rungs=rungs, out=out, progress=silent, say=lambda sentence: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(folder / "cache"))
        yield climbed(folder / "out", rungs=("mlp", "lenet5", "plain-20", "residual-20"))


def test_every_rung_has_as_many_layers_with_weights_as_it_says():
    recipe = json.loads(recipe_from("digits", []).model_dump_json())
    for rung in LADDERS["depth"].rungs:
        network = make_recipe(override(recipe, rung.settings)).network
        architecture = find_architecture(network.name)
        side = architecture.sides[0] if architecture.sides else 8
        with torch.device("meta"):
            built = architecture.create(10, channels=1, image_hw=(side, side), options=network.options)
        assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in built.modules()) == rung.depth, rung.name


def test_rungs_are_told_with_what_they_cost(finished):
    _, results = finished
    rows = {row["rung"]: row for row in results["rungs"]}
    plain, residual = rows["plain-20"], rows["residual-20"]
    assert [row["depth"] for row in rows.values()] == [3, 5, 20, 20]
    assert (plain["family"], residual["family"], rows["mlp"]["family"]) == ("plain", "residual", "")
    # Two input channels fewer than the paper's 269,722 for colour images, 3 x 3 x 16 numbers each.
    assert plain["parameters"] == residual["parameters"] == residual["trained_parameters"] == 269_722 - 2 * 9 * 16
    assert plain["multiply_adds"] == residual["multiply_adds"] > rows["lenet5"]["multiply_adds"]
    assert {row["epochs"] for row in rows.values()} == {1}
    assert all(row["train_loss"] > 0 and row["seconds"] > 0 for row in rows.values())
    # The network is made for sides of 28 and 32; the others get the scans' own.
    assert [row["image_hw"] for row in rows.values()] == [[8, 8], [28, 28], [8, 8], [8, 8]]


def test_it_is_said_when_the_budget_is_spent(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    said = []
    recipe = recipe_from("digits", [*SETTINGS, "budget=0.01"])
    climb("depth", recipe, rungs=["mlp", "lenet5"], out=tmp_path / "out", progress=silent, say=said.append)
    assert any("is spent: lenet5 gets the least that trains it" in sentence for sentence in said)


def test_the_page_has_the_table_and_the_line_of_each_family(finished):
    study, results = finished
    page = BeautifulSoup((study.folder / "ladder.html").read_text(), "html.parser")
    assert [cell.text for cell in page.select("th[scope=row]")] == [row["rung"] for row in results["rungs"]]
    assert {"layers", "multiply-adds", "parameters trained"} <= {cell.text for cell in page.select("thead th")}
    chart = page.select_one("svg[aria-label^='accuracy against depth']")
    assert {"mlp", "lenet5", "plain", "residual", "layers with weights, on a logarithmic scale"} <= {
        text.text.strip() for text in chart("text")
    }
    assert "4 networks, trained from nothing" in page.text


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("network=mlp", "network"),
        ("start=scratch", "start"),
        ("network.weights=hub", r"network\.weights"),
        ("network.options.depth=8", r"network\.options"),
    ],
)
def test_what_the_rungs_set_may_not_be_set(tmp_path, setting, key):
    with pytest.raises(UserError, match=rf"^{key}: the ladder 'depth' sets it itself"):
        climbed(tmp_path / "out", setting)
