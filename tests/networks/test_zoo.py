import json
from dataclasses import asdict

import pytest

from convolve.errors import UserError
from convolve.networks.network import ARCHITECTURES
from convolve.networks.zoo import CLASSICS, zoo


def test_the_default_listing_has_ours_those_at_hand_and_the_classics():
    entries = {entry.name: entry for entry in zoo()}
    assert {"lenet5", "mlp", "residual", *CLASSICS} <= set(entries)
    assert json.loads(json.dumps([asdict(entry) for entry in entries.values()]))
    resnet = entries["torchvision:resnet18"]
    assert (resnet.parameters, resnet.side, resnet.receptive_field) == (11_689_512, 224, 435)
    assert resnet.weights.licence == "BSD-3-Clause"
    assert resnet.weights.mean == (0.485, 0.456, 0.406)
    assert entries["residual"].weights is None
    assert entries["torchvision:mobilenet_v3_small"].receptive_field is None


@pytest.mark.parametrize(
    ("name", "side", "parameters"),
    [
        ("alexnet", 227, 60_965_224),
        ("zfnet", 224, 62_357_608),
        ("vgg-cnn-s", 224, 102_908_520),
        ("googlenet", 224, 6_998_552),
        ("torchvision:vgg16", 224, 138_357_544),
        ("torchvision:resnet50", 224, 25_557_032),
    ],
)
def test_the_classics_are_told_with_their_published_size(name, side, parameters):
    (entry,) = zoo(name)
    assert (entry.side, entry.outputs, entry.parameters) == (side, 1000, parameters)


def test_the_size_of_the_papers_lenet_is_told():
    (entry,) = zoo("lenet5")
    options = {"subsampling": "trainable", "c3": "table", "output": "rbf", "squash": "tanh", "batch_norm": False}
    network = ARCHITECTURES["lenet5"].create(entry.outputs, channels=1, image_hw=(32, 32), options=options)
    assert f"{sum(weight.numel() for weight in network.parameters()):,} parameters" in entry.about


def test_a_pattern_reaches_every_network_of_a_library():
    entries = zoo("torchvision:squeezenet*")
    assert [entry.name for entry in entries] == ["torchvision:squeezenet1_0", "torchvision:squeezenet1_1"]
    # The parameters of torchvision's page of models.
    assert [entry.parameters for entry in entries] == [1_248_424, 1_235_496]


def test_a_network_made_for_one_size_is_counted_at_it():
    (entry,) = zoo("timm:vit_tiny_patch16_384")
    assert entry.side == 384


def test_a_network_whose_builder_needs_numbers_is_counted_too():
    (entry,) = zoo("torchvision:regnet_y_400mf")
    assert entry.parameters == 4_344_144  # torchvision's page of models


def test_a_pattern_without_an_answer_is_said_so():
    with pytest.raises(UserError, match="no network is called 'lenet6'"):
        zoo("lenet6")


def test_a_pattern_of_a_thousand_answers_is_to_be_narrowed():
    with pytest.raises(UserError, match=r"1,\d+ networks are called 'timm:\*'"):
        zoo("timm:*")
