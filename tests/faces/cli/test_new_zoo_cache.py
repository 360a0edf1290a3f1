import json
import tomllib
from pathlib import Path

import pytest

from faces.cli.terminal import succeeds
from workflow.pictures import QUICK


def test_a_new_recipe_has_every_key_with_a_comment_and_trains(elsewhere):
    text = succeeds("new", "digits", *QUICK).out
    table = tomllib.loads(text)
    assert (table["data"]["path"], table["network"]["name"], table["train"]["epochs"]) == ("digits", "mlp", 1)
    keys = [line for line in text.split("[augment]")[0].splitlines() if " = " in line]
    assert len(keys) > 20
    assert [line for line in keys if " # " not in line] == []
    Path("recipe.toml").write_text(text)
    result = succeeds("train", "recipe.toml", "--out", "out", "--json").json
    assert len(result["classes"]) == 10
    assert result["test"]["n"] == pytest.approx(0.2 * 1797, abs=3)


def test_the_schema_names_every_section():
    schema = json.loads(succeeds("new", "digits", "--schema").out)
    assert {"data", "network", "start", "train", "optimiser", "schedule", "loss", "augment"} <= schema[
        "properties"
    ].keys()


def test_the_zoo_counts_the_parameters_of_the_paper():
    entries = {entry["name"]: entry for entry in succeeds("zoo", "torchvision:resnet18", "--json").json}
    # torchvision's documentation: 11,689,512 parameters.
    assert entries["torchvision:resnet18"]["parameters"] == 11_689_512
    assert "11,689,512" in succeeds("zoo", "torchvision:resnet18").out


def test_the_cache_is_shown_and_cleared(animals, elsewhere, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(elsewhere / "cache"))
    succeeds("train", animals, *QUICK, "folds=0", "--out", "out")
    shown = succeeds("cache", "--json").json
    assert shown["folder"].startswith(str(elsewhere))
    assert {"packs", "calibrations"} <= {entry["kind"] for entry in shown["entries"]}
    assert "packs" in succeeds("cache", "show").out
    assert "MB freed" in succeeds("cache", "clear").out
    assert succeeds("cache", "--json").json["entries"] == []
    # Nothing but time is lost.
    assert succeeds("test", "out", "--json").json["n"] == 8
