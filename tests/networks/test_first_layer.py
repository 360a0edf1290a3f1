"""A first layer for other channels answers as the old one did, where that can be."""

import pytest
import torch
from torch import nn

from convolve.networks.catalogue import find_architecture
from convolve.networks.first_layer import adapt_channels, first_convolution
from convolve.networks.loading import load_backbone
from convolve.networks.network import ARCHITECTURES

WHOLE_NUMBERS = torch.randint(-8, 9, (4, 3, 3, 3), generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize(("given", "wanted"), [(3, 1), (1, 3), (3, 6), (1, 1)])
def test_equal_channels_have_the_response_they_had(given, wanted):
    grey = torch.randint(0, 256, (2, 1, 8, 8), generator=torch.Generator().manual_seed(1)).double()
    # Multiples of 3, so that a third is exact and the comparison can be too.
    weight = 3 * WHOLE_NUMBERS[:, :given]
    before = nn.functional.conv2d(grey.expand(-1, given, -1, -1), weight)
    after = nn.functional.conv2d(grey.expand(-1, wanted, -1, -1), adapt_channels(weight, wanted))
    assert torch.equal(before, after) if wanted != 3 else torch.allclose(before, after, rtol=1e-14, atol=1e-9)


def test_kernels_are_repeated_cyclically():
    adapted = adapt_channels(WHOLE_NUMBERS, 4)
    assert torch.equal(adapted, WHOLE_NUMBERS[:, [0, 1, 2, 0]] * 0.75)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("residual", "0.0"),
        ("mlp", None),
        ("timm:tf_efficientnet_lite0", "conv_stem"),
        ("torchvision:vgg11", "features.0"),
    ],
)
def test_the_layer_that_reads_the_image_is_found(name, layer):
    with torch.device("meta"):
        network = find_architecture(name).create(2, channels=3, image_hw=(32, 32))
    assert first_convolution(network.backbone) == layer


@pytest.mark.parametrize(("given", "wanted"), [(1, 3), (3, 1)])
def test_a_network_of_other_channels_gives_the_same_features_of_grey_images(given, wanted):
    source, network = (ARCHITECTURES["residual"].create(2, channels=n, image_hw=(16, 16)) for n in (given, wanted))
    report = load_backbone(network, source.backbone.state_dict())
    assert report.adapted == ("0.0.weight",)
    grey = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        theirs = source.eval().backbone(grey.expand(-1, given, -1, -1))
        mine = network.eval().backbone(grey.expand(-1, wanted, -1, -1))
    torch.testing.assert_close(mine, theirs)
