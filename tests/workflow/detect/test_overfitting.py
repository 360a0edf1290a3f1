"""Nothing between a file's boxes and the figures may lose precision: then few images can be learned by heart."""

import os
from pathlib import Path

import pytest

from convolve.deploy.detection.model import load_detection_model
from convolve.networks.pretrained import find_weights
from convolve.progress import silent
from convolve.workflow.detect.judgement import judge_rows
from convolve.workflow.detect.judging import results_on
from convolve.workflow.detect.planning import read_box_plan
from convolve.workflow.recipes import recipe_from
from convolve.workflow.testing import own_opened, rows_of_split
from convolve.workflow.train import train

NUTS = Path(os.environ.get("CONVOLVE_TEST_DATA", "")) / "nuts-coco"
NETWORK = "timm:tf_efficientnet_lite0"
SETTINGS = (
    "task=detect",
    f"network={NETWORK}",
    "start=finetune",
    "detect=faster",
    "detect.side=480",
    "augment=none",
    "epochs=40",
    "batch_size=2",
    "train.average=0",
    "budget=none",
)


@pytest.mark.slow
def test_nuts_are_learned_by_heart(tmp_path):
    weights = find_weights(NETWORK)
    if not NUTS.is_dir() or weights is None or not weights.at_hand():
        pytest.skip("the data or the packaged weights are not here")
    run = train(recipe_from(str(NUTS), SETTINGS), out=tmp_path / "run", progress=silent, say=lambda _: None)
    model = load_detection_model(run.model)
    recipe = read_box_plan(run).recipe
    opened = own_opened(run, recipe, silent)
    rows = rows_of_split(run, recipe, opened, "train")
    figures = results_on(opened.dataset, judge_rows(model, opened.dataset, rows, silent), threshold=model.threshold)
    assert figures["n"] == len(rows) > 0
    assert figures["map50"] >= 0.95
