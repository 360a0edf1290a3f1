import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from convolve.deploy.model import weights_of_model
from faces.cli.terminal import refused, succeeds

QUICK = ("network=mlp", "network.options.hidden=[16]", "image_size=16", "epochs=2", "compute.memory_format=contiguous")


@pytest.fixture
def loose(elsewhere):
    """30 images without labels, in folders that mean nothing, and one that is broken."""
    folder = elsewhere / "loose"
    (folder / "deep" / "er").mkdir(parents=True)
    noise = np.random.default_rng(0)
    for number in range(30):
        where = folder / ("", "deep", "deep/er")[number % 3]
        Image.fromarray(noise.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(where / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_a_folder_of_images_becomes_weights_for_a_training(loose, animals):
    answer = succeeds("pretrain", loose, *QUICK, "--out", "first", "--json")
    assert (answer.json["images"], answer.json["epochs"], answer.json["left_out"]) == (30, 2, 1)
    assert "left out: broken.png" in answer.err
    assert "neighbours" not in answer.json
    weights = weights_of_model(loose.parent / "first" / "model.safetensors")
    assert (weights.architecture, weights.sides) == ("mlp", (16,))
    succeeds(
        *("train", animals, "network=mlp", "network.options.hidden=[16]", "folds=0", "start=features"),
        *("network.weights=first/model.safetensors", "start.options.layers=last", "--out", "second"),
    )
    before, after = (load_file(f"{run}/model.safetensors") for run in ("first", "second"))
    assert all(name.startswith("backbone.") for name in before)
    assert all(after[name].equal(before[name]) for name in before)


def test_labels_only_judge_the_features_and_the_same_command_again_is_finished(animals, elsewhere):
    first = succeeds("pretrain", animals, *QUICK, "--out", "run", "--json")
    assert set(first.json["neighbours"]) == {"accuracy", "before"}
    again = succeeds("pretrain", animals, *QUICK, "--out", "run", "--json")
    assert again.err == "run: this pre-training is finished already\n"
    assert again.json == first.json


def test_a_backbone_is_not_taken_for_a_model(animals, elsewhere):
    succeeds("pretrain", animals, *QUICK, "--out", "run")
    assert "a pre-trained backbone, which predicts nothing by itself" in refused("predict", "run", animals)


def test_it_has_no_test_figures_and_says_what_it_is_for(animals, run, elsewhere):
    succeeds("pretrain", animals, *QUICK, "--out", "before")
    for command in (("test", "before"), ("test", "before", "--data", animals), ("compare", run, "before")):
        words = refused(*command)
        assert "before: a pre-training, which has no test figures" in words
        assert "convolve train DATA start=before" in words
    (elsewhere / "before" / "results.json").unlink()
    assert "Run the command that began it again." in refused("test", "before")


def test_without_a_readable_image_nothing_is_left_behind(elsewhere):
    folder = elsewhere / "none"
    folder.mkdir()
    (folder / "notes.txt").write_text("no image")
    assert "there is not one image in it" in refused("pretrain", folder, "--out", "run")
    (folder / "broken.png").write_bytes(b"no image")
    assert "no image can be decoded" in refused("pretrain", folder, "--out", "run")
    assert "unknown pre-training method 'vicregg'" in refused(
        "pretrain", "digits", "start.options.method=vicregg", "--out", "run"
    )
    assert "one image is too few" in refused("pretrain", "digits", "start.options.images=1", "--out", "run")
    assert not (elsewhere / "run").exists()
