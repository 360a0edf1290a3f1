import numpy as np
import pytest
import torch

from convolve.data.boxes.selective_search import selective_search
from convolve.data.decoding import decode
from convolve.networks.architectures.residual import residual
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detectors.faster import faster
from convolve.networks.score_maps.building import build_network
from convolve.progress import silent
from convolve.training.tuning import tuning
from convolve.workflow.data import open_data
from convolve.workflow.detect.build import enter_above_frozen
from convolve.workflow.detect.choices import choose_box_split
from convolve.workflow.detect.data import prepare_boxes
from convolve.workflow.detect.planning import box_recipe_for
from convolve.workflow.recipes import recipe_from
from workflow.detect.shapes import SETTINGS


def test_regions_are_in_the_order_that_predicting_has_whatever_the_seed(shapes):
    """Where there are more than 2,000, the first are kept: test and predict must look at the same ones."""
    recipe = recipe_from(str(shapes), [*SETTINGS, "detect=rcnn", "seed=7"])
    opened = open_data(recipe.data, silent, task="detect")
    recipe, _ = choose_box_split(recipe, opened.dataset)
    prepared = prepare_boxes(recipe, opened, silent)
    image = decode(opened.dataset.samples[0].image, channels=3)
    np.testing.assert_array_equal(prepared.proposals.of(0), selective_search(image))


@pytest.mark.parametrize(("stages", "left_out"), [("all", 0), (0, 3), (2, 1), (3, 0), (9, 0)])
def test_levels_that_are_not_trained_are_left_out(stages, left_out):
    network = residual(2, channels=3, image_hw=(64, 64), depth=8, width=8)
    anchors = AnchorShapes(sizes=(16.0,), ratios=(1.0,))
    place = {"classes": 2, "channels": 3, "image_hw": (64, 64), "anchors": anchors}
    detector = faster(network, **place, width=16, head_width=32)
    assert detector.pyramid.strides == (1, 2, 4)
    assert enter_above_frozen(detector, tuning(stages=stages)) == (left_out > 0)
    assert detector.pyramid.entry == left_out


def test_rcnn_goes_on_from_weights_of_a_network_that_is_no_chain(shapes, tmp_path):
    """A DenseNet has no stages that could be frozen; R-CNN needs none."""
    network = build_network("torchvision:densenet121", {}, outputs=2, channels=3, image_hw=(64, 64))
    weights = tmp_path / "densenet.pt"
    torch.save(network.backbone.state_dict(), weights)
    settings = [setting for setting in SETTINGS if not setting.startswith("network")]
    named = ["network=torchvision:densenet121", f"network.weights={weights}", "detect=rcnn", "start=finetune"]
    recipe = recipe_from(str(shapes), [*settings, *named])
    opened = open_data(recipe.data, silent, task="detect")
    assert box_recipe_for(opened, recipe, silent).recipe.start.options["stages"] == "all"
