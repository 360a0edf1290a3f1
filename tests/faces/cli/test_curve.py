import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from convolve.data.dataset import ClassLabel, Dataset, Sample
from convolve.tasks.metrics.wilson_interval import wilson_interval
from convolve.training.starts.scratch import Scratch
from convolve.training.starts.unsupervised import Unsupervised
from convolve.workflow.curve import _subset
from convolve.workflow.data import Member
from faces.cli.terminal import refused, succeeds
from workflow.pictures import QUICK, class_folders


@pytest.fixture(scope="module")
def animals_curve(animals, tmp_path_factory):
    """A finished curve; to be read only."""
    folder = tmp_path_factory.mktemp("curves") / "curve"
    answer = succeeds("curve", animals, *QUICK, "--rungs", "scratch", "--draws", 2, "--out", folder, "--json")
    return folder, answer


def test_all_sizes_are_judged_on_the_same_test_images(animals_curve):
    folder, answer = animals_curve
    results = answer.json
    assert (results["test_images"], results["training_images"]) == (8, 32)
    [rung] = results["rungs"]
    assert [point["images"] for point in rung["points"]] == [4, 8, 16, 32]
    assert [point["draws"] for point in rung["points"]] == [2, 2, 2, 1]
    for point in rung["points"]:
        assert point["accuracy"] == pytest.approx(sum(point["draw_accuracies"]) / point["draws"])
        assert point["accuracy_ci95"] == pytest.approx(list(wilson_interval(8 * point["accuracy"], 8)))
    assert sum(row["test_images"] for row in rung["per_class"]) == 8
    assert "forecast: scratch trains a network for each of 7 points" in answer.err
    assert results == {**json.loads((folder / "curve.json").read_text()), "page": str(folder / "curve.html")}


def test_the_last_point_is_what_train_gives(animals_curve, animals, elsewhere):
    _folder, answer = animals_curve
    result = succeeds("train", animals, *QUICK, "folds=0", "--out", "run", "--json").json
    assert answer.json["rungs"][0]["points"][-1]["accuracy"] == result["test"]["accuracy"]


def test_the_page_stands_alone_and_the_plot_is_a_picture(animals_curve):
    folder, _ = animals_curve
    page = BeautifulSoup((folder / "curve.html").read_text(), "html.parser")
    assert "right with 32 training images" in page.select_one(".headline").text
    assert "accuracy on 8 test images" in page.svg.text
    assert not page.find_all(["script", "link", "iframe"])
    assert (folder / "curve.svg").read_text().startswith("<?xml")
    with Image.open(folder / "curve.png") as plot:
        assert plot.width > 1000


def test_the_same_command_goes_on_where_it_stopped(animals_curve, animals, elsewhere):
    folder, _before = animals_curve
    shutil.copytree(folder, "copy")
    Path("copy/curve.json").unlink()
    points = Path("copy/scratch/points.jsonl")
    kept = points.read_text().splitlines()
    points.write_text("\n".join(kept[:5]) + "\n")
    answer = succeeds("curve", animals, *QUICK, "--rungs", "scratch", "--draws", 2, "--out", "copy", "--json")
    assert "each of 2 points" in answer.err
    again = [json.loads(line) for line in points.read_text().splitlines()]
    assert [{**one, "seconds": 0} for one in again] == [{**json.loads(one), "seconds": 0} for one in kept]
    finished = succeeds("curve", animals, *QUICK, "--rungs", "scratch", "--draws", 2, "--out", "copy")
    assert "this curve is finished already" in finished.err
    assert "page: copy/curve.html" in finished.out


def test_what_is_no_curve_is_refused(animals_curve, animals, run, elsewhere):
    folder, _ = animals_curve
    assert "Did you mean 'features'?" in refused("curve", animals, "--rungs", "featurs")
    assert "a training is here, not a curve" in refused("curve", animals, *QUICK, "--out", run)
    assert "draws was 2, now 3" in refused(
        "curve", animals, *QUICK, "--rungs", "scratch", "--draws", 3, "--out", folder
    )
    assert "same test images" in refused("curve", animals, *QUICK, "folds=5")
    assert "not a run" in refused("test", folder)
    few = class_folders(elsewhere / "few", {"cat": 8, "dog": 8})
    assert "too few for a learning curve" in refused("curve", few, *QUICK, "--out", "few-curve")


def test_pretraining_at_every_point_keeps_to_the_budget(animals, elsewhere, monkeypatch):
    # So few images are no matter for pre-training.
    monkeypatch.setattr(Unsupervised, "train", lambda start, job: Scratch().train(job))
    command = ("curve", animals, *QUICK, "budget=0.2s", "--rungs", "unsupervised", "--out", "out")
    answer = succeeds(*command, "--json")
    planned = json.loads(Path("out/unsupervised/planned.json").read_text())
    assert all(point["recipe"]["start"]["options"]["epochs"] < 200 for point in planned.values())
    assert f"each of {len(planned)} points" in answer.err


def test_weights_that_changed_are_refused_when_a_curve_goes_on(animals, elsewhere):
    settings = ("network=residual", "network.options.depth=8", "epochs=1", "image_size=16", "folds=0", "budget=none")
    for seed in (1, 2):
        succeeds("train", animals, *settings, f"seed={seed}", "--out", f"first-{seed}")
    weights = Path("first-1/model.safetensors")
    command = ("curve", animals, *settings[:4], f"weights={weights}", "--rungs", "features", "--out", "out")
    succeeds(*command)
    Path("out/curve.json").unlink()
    points = Path("out/features/points.jsonl")
    points.write_text("\n".join(points.read_text().splitlines()[:2]) + "\n")
    shutil.copy("first-2/model.safetensors", weights)
    assert "changed since this training began" in refused(*command)


def test_an_image_that_has_to_choose_takes_its_group_along():
    samples = tuple(
        Sample(name=f"{row:02}", image=None, target=ClassLabel(row % 2), group=f"person {row // 4}")
        for row in range(40)
    )
    dataset = Dataset(name="people", form="test", classes=("cat", "dog"), samples=samples)
    own = Member("", 0, np.arange(36), np.arange(36, 40), np.empty(0, np.int64))
    prepared = SimpleNamespace(dataset=dataset, hashes=[str(row) for row in range(40)])
    chosen_anew = 0
    for draw in range(20):
        part = _subset(SimpleNamespace(all_images=own, prepared=prepared), draw, 4)
        assert len(part.train)
        assert len(part.validation)
        assert not {row // 4 for row in part.train} & {row // 4 for row in part.validation}
        chosen_anew += not set(part.validation) <= set(own.validation)
    assert chosen_anew
