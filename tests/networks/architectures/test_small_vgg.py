import pytest
import torch
from torch import nn

from convolve.networks.network import ARCHITECTURES


def small_vgg(image_hw=(32, 32), **options):
    with torch.device("meta"):
        return ARCHITECTURES["small-vgg"].create(10, channels=3, image_hw=image_hw, options=options)


def layers(network, kind):
    return [layer for layer in network.modules() if isinstance(layer, kind)]


def test_its_parameters_are_those_of_the_layers_counted_by_hand():
    convolutions = 9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128)
    norms = 2 * (32 + 32 + 64 + 64 + 128 + 128 + 256)
    fully_connected = 4 * 4 * 128 * 256 + 256 * 10 + 10
    assert sum(weight.numel() for weight in small_vgg().parameters()) == convolutions + norms + fully_connected


@pytest.mark.parametrize(("convolutions", "depth"), [(1, 5), (2, 8), (3, 11)])
def test_its_depth_follows_the_stacks(convolutions, depth):
    assert len(layers(small_vgg(convolutions=convolutions), nn.Conv2d | nn.Linear)) == depth


def test_every_convolution_is_three_by_three_and_norms_are_an_option():
    network = small_vgg(batch_norm=False)
    assert {layer.kernel_size for layer in layers(network, nn.Conv2d)} == {(3, 3)}
    assert all(layer.bias is not None for layer in layers(network, nn.Conv2d))
    assert layers(network, nn.BatchNorm2d | nn.BatchNorm1d) == []


@pytest.mark.parametrize("image_hw", [(8, 8), (33, 64), (9, 20)])
def test_it_takes_the_size_it_was_built_for(image_hw):
    assert small_vgg(image_hw)(torch.empty(2, 3, *image_hw, device="meta")).shape == (2, 10)
