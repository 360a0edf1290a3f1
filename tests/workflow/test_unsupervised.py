"""start=unsupervised: pre-trained on the training images and the unlabelled ones, then trained on few labels."""

import json

import pytest

from convolve.progress import silent
from convolve.workflow.recipes import recipe_from
from convolve.workflow.train import train
from workflow.pictures import rows_of


@pytest.mark.parametrize("then", ["features", "finetune"])
def test_it_learns_from_images_whose_labels_are_not_used_and_from_no_other(tmp_path, monkeypatch, then):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    settings = ["network=mlp", "network.options.hidden=[32]", "data.per_class=5", "folds=0", "epochs=1"]
    settings += ["start=unsupervised", f"start.options.then={then}", "start.options.epochs=2", "budget=none"]
    run = train(recipe_from("digits", settings), out=tmp_path / "run", progress=silent, say=lambda sentence: None)
    splits = [row["split"] for row in rows_of(run.split)]
    assert (splits.count("train"), splits.count("validation")) == (40, 10)
    [note] = [note for note in run.read("results")["notes"] if note.startswith("Pre-trained without labels")]
    assert f"2 epochs of {40 + splits.count('unlabelled')} images" in note
    lines = (run.folder / "pretraining" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert run.read("results")["test"]["n"] == splits.count("test")
