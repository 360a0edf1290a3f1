"""The first two rungs: one set of weights, applied patch by patch and moved over the image."""

import json
import shutil

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from PIL import Image

from convolve.deploy.segmentation.model import load_segmentation_model
from faces.cli.terminal import refused, succeeds
from workflow.segment.scenes import PATCH, drawn


@pytest.fixture(scope="module")
def small_scenes(tmp_path_factory):
    """7 images of 36 x 40, so few as patches are many."""
    root = tmp_path_factory.mktemp("data") / "small"
    for number, split in enumerate(["train"] * 4 + ["val"] + ["test"] * 2):
        for name, pixels in zip(("images", "masks"), drawn(number, hw=(36, 40)), strict=True):
            (root / split / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / split / name / f"{number:02}.png")
    return root


@pytest.fixture(scope="module")
def climbed(small_scenes, tmp_path_factory):
    """A finished ladder of the two; to be read only."""
    out = tmp_path_factory.mktemp("ladders") / "out"
    settings = [setting for setting in PATCH if not setting.startswith("segment=")]
    command = ("ladder", "segment", small_scenes, *settings, "--rungs", "patch,dense", "--out", out)
    return out, command, succeeds(*command, "--json")


def test_both_have_the_same_weights_and_give_every_pixel_the_same_class(climbed, small_scenes):
    out, _, _ = climbed
    patch, dense = (load_segmentation_model(out / rung / "model.safetensors") for rung in ("patch", "dense"))
    ours, theirs = patch.network.state_dict(), dense.network.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    # The ladder's first rung asks every eighth pixel only, and interpolates between.
    every = patch.with_score_map("patch", {"step": 1})
    for path in sorted((small_scenes / "test" / "images").iterdir()):
        some, one, other = patch.segment(path), every.segment(path), dense.segment(path)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)
        np.testing.assert_allclose(some.probabilities[:, ::8, ::8], other.probabilities[:, ::8, ::8], atol=1e-4)
        # Otherwise two constant maps would do.
        assert len(np.unique(one.labels)) > 1


def test_the_table_says_that_only_the_first_was_trained(climbed):
    out, _, answer = climbed
    results = answer.json
    patch, dense = results["rungs"]
    assert [patch["rung"], dense["rung"]] == ["patch", "dense"]
    assert (results["task"], results["judged"], results["images"]) == ("segment", "test", 2)
    assert results["network"] == "patch-net"
    assert patch["trained_parameters"] == dense["trained_parameters"] > 200_000
    assert all(row["peak_bytes"] > 50e6 and row["seconds"] > row["prediction_seconds"] > 0 for row in results["rungs"])
    assert all(0 < row["mean_iou"] < row["pixel_accuracy"] < 1 for row in results["rungs"])
    assert json.loads((out / "dense" / "results.json").read_text())["seconds"] == 0
    (test,) = results["comparisons"]
    assert test["rungs"] == ["patch", "dense"]
    assert (test["n"], test["more_than_chance"]) == (2, False)


def test_the_page_has_both_reports_and_the_maps_side_by_side(climbed):
    out, _, answer = climbed
    assert answer.json["page"] == str(out / "ladder.html")
    page = BeautifulSoup((out / "ladder.html").read_text(), "html.parser")
    links = [link["href"] for link in page.select("table a")]
    assert links == ["patch/report.html", "dense/report.html"]
    assert all((out / link).exists() for link in links)
    # Each of the two test images, its truth and one map a rung.
    assert len([image for image in page.find_all("img") if image["src"].startswith("data:image/")]) == 2 * (2 + 2)


def test_a_ladder_that_was_stopped_after_its_rungs_is_not_trained_again(climbed, elsewhere):
    folder, command, before = climbed
    shutil.copytree(folder, "copy")
    (elsewhere / "copy" / "ladder.json").unlink()
    answer = succeeds(*command[:-1], "copy", "--json")
    assert "patch: finished already" in answer.err
    assert answer.json["rungs"] == before.json["rungs"]


def test_a_rung_is_not_set_twice(small_scenes):
    assert "sets it itself" in refused("ladder", "segment", small_scenes, *PATCH)
    assert "Did you mean 'dense'?" in refused("ladder", "segment", small_scenes, "--rungs", "dens")
