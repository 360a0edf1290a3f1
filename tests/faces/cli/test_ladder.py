import json
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from convolve.errors import UserError
from convolve.training.starts.scratch import Scratch
from convolve.training.starts.unsupervised import Unsupervised
from convolve.workflow.ladder import corrected_tests
from faces.cli.terminal import refused, succeeds

SETTINGS = ("network=residual", "network.options.depth=8", "epochs=1", "image_size=16", "folds=0", "budget=none")


@pytest.fixture(scope="module")
def climbed(run, animals, tmp_path_factory):
    """A finished ladder from the weights of a small network of our own; to be read only."""
    root = tmp_path_factory.mktemp("ladders")
    succeeds("train", animals, *SETTINGS, "seed=3", "--out", root / "first")
    weights = f"weights={root / 'first' / 'model.safetensors'}"
    command = ["ladder", "transfer", animals, *SETTINGS, weights, "--rungs", "scratch,features", "--out", root / "out"]
    return root / "out", command, succeeds(*command, "--json")


def test_rungs_are_runs_on_the_same_images(climbed):
    folder, _, answer = climbed
    results = answer.json
    assert [row["rung"] for row in results["rungs"]] == ["scratch", "features"]
    assert [row["n"] for row in results["rungs"]] == [8, 8]
    scratch, features = results["rungs"]
    compared = succeeds("compare", folder / "scratch", folder / "features", "--json").json
    assert [row["accuracy"] for row in compared["runs"]] == [scratch["accuracy"], features["accuracy"]]
    assert scratch["trained_parameters"] > 70_000 > features["trained_parameters"] > 0
    assert all(row["seconds"] > 0 and row["peak_bytes"] > 50e6 for row in results["rungs"])
    assert (folder / "scratch" / "split.csv").read_text() == (folder / "features" / "split.csv").read_text()


def test_the_page_links_to_every_report(climbed):
    folder, _, _ = climbed
    page = BeautifulSoup((folder / "ladder.html").read_text(), "html.parser")
    links = [link["href"] for link in page.select("table a")]
    assert links == ["scratch/report.html", "features/report.html"]
    assert all((folder / link).exists() for link in links)
    assert "accuracy on 8 test images" in page.svg.text


def test_finished_rungs_are_read_not_trained_again(climbed, elsewhere):
    folder, command, before = climbed
    shutil.copytree(folder, "copy")
    Path("copy/ladder.json").unlink()
    answer = succeeds(*command[:-1], "copy", "--json")
    assert "scratch: finished already" in answer.err
    assert answer.json["rungs"] == before.json["rungs"]


def test_a_rung_killed_before_it_was_measured_is_told_without_its_memory(climbed, elsewhere):
    folder, command, _ = climbed
    shutil.copytree(folder, "copy")
    Path("copy/ladder.json").unlink()
    measured = json.loads(Path("copy/measured.json").read_text())
    del measured["rungs"]["scratch"]
    Path("copy/measured.json").write_text(json.dumps(measured))
    answer = succeeds(*command[:-1], "copy", "--json")
    assert answer.json["rungs"][0]["peak_bytes"] is None
    assert "not measured" in Path("copy/ladder.html").read_text()


def test_an_error_in_training_stops_the_ladder_and_the_same_command_goes_on(animals, elsewhere, monkeypatch):
    command = ("ladder", "transfer", animals, "network=mlp", *SETTINGS[2:], "--out", "out")
    training = Scratch.train

    def fail(start, job):
        raise UserError("no space is left")

    monkeypatch.setattr(Scratch, "train", fail)
    assert "no space is left" in refused(*command)
    assert not Path("out/ladder.json").exists()
    monkeypatch.setattr(Scratch, "train", training)
    # So few images are no matter for pre-training.
    monkeypatch.setattr(Unsupervised, "train", lambda start, job: training(Scratch(), job))
    answer = succeeds(*command, "--json")
    assert [row["rung"] for row in answer.json["rungs"]] == ["scratch", "unsupervised"]


@pytest.mark.slow
def test_rungs_that_cannot_run_are_left_out_with_a_sentence(animals, elsewhere):
    answer = succeeds("ladder", "transfer", animals, "network=mlp", *SETTINGS[2:], "--budget", "20s", "--out", "out")
    assert "left out: features: start=features: there are no pre-trained weights for network 'mlp'" in answer.out
    assert "budget: 20 s for" in answer.err


def test_wrong_words_are_refused(animals, run, climbed):
    _folder, command, _ = climbed
    assert "unknown ladder 'transfre'\n  Did you mean 'transfer'?" in refused("ladder", "transfre", animals)
    assert "Did you mean 'finetune'?" in refused("ladder", "transfer", animals, "--rungs", "fintune")
    assert "sets it itself" in refused("ladder", "transfer", animals, "start=scratch")
    assert "'segment' is of task=segment" in refused("ladder", "segment", animals, "task=classify")
    assert "animals has classes\n  For those there is: convolve ladder depth or transfer" in refused(
        "ladder", "detect", animals
    )
    assert "nothing to compare rungs by" in refused("ladder", "depth", animals, "folds=0", "data.test=0")
    assert "a training is here, not a ladder" in refused("ladder", "transfer", animals, "--out", run)
    assert "seed was 0, now 1" in refused(*command, "seed=1")
    assert "no pre-trained weights" in refused(
        "ladder", "transfer", animals, "network=mlp", "--rungs", "features", "--out", "never"
    )


def test_the_p_values_are_holms():
    tests = [
        {"runs": pair, "n": 90, "right_only_in": [5, 1], "p_value": p}
        for pair, p in ((["a", "b"], 0.01), (["a", "c"], 0.04), (["b", "c"], 0.03))
    ]
    corrected = corrected_tests(tests, {"a": "x", "b": "y", "c": "z"})
    # The example of the procedure in every textbook: 3 x .01, 2 x .03, and no less than that for the last.
    assert [one["p_value"] for one in corrected] == pytest.approx([0.03, 0.06, 0.06])
    assert [one["better"] for one in corrected] == ["x", None, None]
