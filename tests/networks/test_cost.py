"""Against the papers' and torchvision's figures; heavy networks have shapes only."""

import pytest
import torch
import torchvision

from convolve.networks.cost import Cost, cost_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", Cost(parameters=11_689_512, multiply_adds=1_814_073_344, receptive_field=435, stride=32)),
        ("resnet50", Cost(parameters=25_557_032, multiply_adds=4_089_184_256, receptive_field=427, stride=32)),
        ("vgg16", Cost(parameters=138_357_544, multiply_adds=15_470_264_320, receptive_field=212, stride=32)),
        ("alexnet", Cost(parameters=61_100_840, multiply_adds=714_188_480, receptive_field=195, stride=32)),
    ],
)
def test_known_networks_have_their_known_figures(name, expected):
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    assert cost_of(network, channels=3, image_hw=(224, 224)) == expected


def test_groups_divide_the_work():
    whole = torch.nn.Conv2d(8, 16, 3, padding=1, bias=False)
    grouped = torch.nn.Conv2d(8, 16, 3, padding=1, groups=4, bias=False)
    assert cost_of(whole, channels=8, image_hw=(10, 6)).multiply_adds == 16 * 8 * 9 * 60
    assert cost_of(grouped, channels=8, image_hw=(10, 6)).multiply_adds == 16 * 2 * 9 * 60


def test_the_network_is_left_as_it_was():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    cost_of(network, channels=1, image_hw=(8, 8))
    assert network[1].training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
