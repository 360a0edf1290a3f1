"""Small networks of both libraries, as ours use them."""

import pytest
import torch
import torchvision

from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture, published_weights
from convolve.randomness import torch_randomness


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("torchvision:squeezenet1_1", 32),
        ("torchvision:mobilenet_v3_small", 32),
        ("torchvision:shufflenet_v2_x0_5", 32),
        ("torchvision:resnet18", 32),
        ("torchvision:googlenet", 32),
        ("timm:test_resnet", 32),
        ("timm:mobilenetv3_small_050", 32),
        ("timm:tf_efficientnet_lite0", 32),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_of_a_library_has_features_and_our_head(name, side, channels):
    architecture = find_architecture(name)
    with torch_randomness(0, "network"):
        network = architecture.create(4, channels=channels, image_hw=(side, side))
    assert network.training
    images = torch.randn(2, channels, side, side)
    assert network.backbone(images).shape == (2, network.features)
    assert network(images).shape == (2, 4)
    assert isinstance(network.head, torch.nn.Linear)
    with torch_randomness(0, "network"):
        again = architecture.create(4, channels=channels, image_hw=(side, side))
    fresh = {name: tensor for name, tensor in again.state_dict().items() if "running" not in name}
    assert all(
        torch.equal(tensor, network.state_dict()[name]) for name, tensor in fresh.items() if "batches" not in name
    )


@pytest.mark.parametrize(
    "name", ["resnet18", "vgg11", "densenet121", "mobilenet_v2", "efficientnet_b0", "convnext_tiny"]
)
def test_only_the_classifier_is_taken_out(name):
    with torch.device("meta"):
        original = torchvision.models.get_model(name, weights=None)
        network = find_architecture(f"torchvision:{name}").create(1000, channels=3, image_hw=(64, 64))
    parameters = [sum(weight.numel() for weight in module.parameters()) for module in (original, network)]
    assert parameters[0] == parameters[1]
    left = set(original.state_dict()) - set(network.backbone.state_dict())
    assert len(left) == 2
    assert set(network.backbone.state_dict()) <= set(original.state_dict())


def test_images_too_small_for_the_network_are_refused():
    with pytest.raises(UserError, match="'torchvision:alexnet' needs images of at least 63 x 63 pixels, not 32 x 32"):
        find_architecture("torchvision:alexnet").create(2, channels=3, image_hw=(32, 32))
    with pytest.raises(UserError, match="'timm:inception_v3' cannot take images of 32 x 32 pixels"):
        find_architecture("timm:inception_v3").create(2, channels=3, image_hw=(32, 32))


def test_networks_with_positions_take_one_size():
    for name in ("timm:vit_tiny_patch16_224", "torchvision:vit_b_16"):
        assert find_architecture(name).sides == (224,)
    assert find_architecture("torchvision:resnet18").sides == ()


@pytest.mark.parametrize(
    ("name", "mean", "side", "licence"),
    [
        ("torchvision:resnet18", (0.485, 0.456, 0.406), 224, "BSD-3-Clause"),
        ("torchvision:googlenet", (0.5, 0.5, 0.5), 224, "BSD-3-Clause"),
        ("torchvision:inception_v3", (0.5, 0.5, 0.5), 299, "BSD-3-Clause"),
        ("timm:resnet18", (0.485, 0.456, 0.406), 224, "apache-2.0"),
    ],
)
def test_published_weights_say_how_they_want_images(name, mean, side, licence):
    weights = published_weights(name)
    assert weights.architecture == name
    assert weights.mean == pytest.approx(mean)
    assert weights.sides == (side,)
    assert weights.licence == licence


def test_without_network_a_download_fails_with_words(monkeypatch, tmp_path):
    # A proxy on a port where nothing listens is a machine without network.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("torchvision:resnet18", "timm:resnet18"):
        weights = published_weights(name)
        assert not weights.at_hand()
        with pytest.raises(
            UserError,
            match=rf"the weights of {name} cannot be downloaded: https://\S+ does not answer\n  Weights .*at hand here",
        ):
            weights.load()


def test_weights_that_nobody_published_are_said_so():
    with pytest.raises(UserError, match="timm publishes no weights for network 'resnet200'"):
        published_weights("timm:resnet200")
