"""The classic networks against the figures of their papers, by shapes alone."""

import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.architectures.googlenet import MODULES
from convolve.networks.catalogue import find_architecture
from convolve.networks.cost import cost_of
from convolve.networks.layers.inception import Inception
from convolve.networks.network import ARCHITECTURES
from convolve.networks.receptive_field import Field


def built(name, side=224, *, outputs=1000, **options):
    with torch.device("meta"):
        return find_architecture(name).create(outputs, channels=3, image_hw=(side, side), options=options)


def parameters(module):
    return sum(weight.numel() for weight in module.parameters())


def map_sides(network, side):
    """Sides of the maps after every convolution and pooling, by the layer's name."""
    maps, sides = torch.empty(1, 3, side, side, device="meta"), {}
    for name, layer in network.backbone.named_children():
        maps = layer(maps)
        if maps.ndim == 4 and name.startswith(("conv", "pool", "inception")):
            assert maps.shape[2] == maps.shape[3]
            sides[name] = maps.shape[2]
    return sides


@pytest.mark.parametrize(
    ("name", "side", "options", "count", "millions_of_multiply_adds"),
    [
        ("alexnet", 227, {}, 60_965_224, 724),
        ("alexnet", 224, {}, 60_965_224, 724),
        ("alexnet", 227, {"grouped": False}, 62_378_344, 1_135),
        ("zfnet", 224, {}, 62_357_608, 1_168),
        ("vgg-cnn-s", 224, {}, 102_908_520, 2_638),
        ("googlenet", 224, {"auxiliary": False}, 6_998_552, 1_583),
    ],
)
def test_the_published_counts(name, side, options, count, millions_of_multiply_adds):
    network = built(name, side, **options)
    cost = cost_of(network, channels=3, image_hw=(side, side))
    assert cost.parameters == parameters(network) == count
    assert round(cost.multiply_adds / 1e6) == millions_of_multiply_adds


@pytest.mark.parametrize(("name", "options"), [("vgg-cnn-s", {"conv2_padding": 1}), ("alexnet", {})])
def test_a_margin_costs_no_parameters(name, options):
    assert parameters(built(name, **options)) == parameters(built(name))


@pytest.mark.parametrize(
    ("name", "side", "options", "sides"),
    [
        ("alexnet", 227, {}, "55 27 27 13 13 13 13 6"),
        ("alexnet", 224, {}, "55 27 27 13 13 13 13 6"),
        ("zfnet", 224, {}, "110 55 26 13 13 13 13 6"),
        ("vgg-cnn-s", 224, {}, "109 37 33 17 17 17 17 6"),
        ("vgg-cnn-s", 224, {"conv2_padding": 1}, "109 37 35 18 18 18 18 6"),
        ("overfeat", 231, {}, "56 28 24 12 12 12 12 6"),
        ("googlenet", 224, {}, "112 56 56 56 28 28 28 14 14 14 14 14 14 7 7 7"),
    ],
)
def test_maps_have_the_papers_sides(name, side, options, sides):
    assert list(map_sides(built(name, side, **options), side).values()) == list(map(int, sides.split()))


@pytest.mark.parametrize(
    ("name", "side", "field"),
    [("alexnet", 227, (195, 32)), ("overfeat", 231, (167, 32)), ("googlenet", 224, (715, 32))],
)
def test_the_last_map_sees_what_the_arithmetic_says(name, side, field):
    cost = cost_of(built(name, side), channels=3, image_hw=(side, side))
    assert (cost.receptive_field, cost.stride) == field


def test_overfeats_window_is_231_pixels_and_327_with_its_paddings():
    # fc6 as a convolution of 6 x 6 on the last map.
    last = Field(high=(166, 166), jump=(32, 32))
    assert last.through_window((6, 6), (1, 1), (0, 0)).sides == (327, 327)
    network = built("overfeat", 231).backbone
    maps = nn.Sequential(*list(network)[: [name for name, _ in network.named_children()].index("flatten")])
    sides = {side: maps(torch.empty(1, 3, side, side, device="meta")).shape[-1] for side in (230, 231, 262, 263)}
    assert sides == {230: 5, 231: 6, 262: 6, 263: 7}


def test_alexnets_halves_are_two_networks_side_by_side():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        grouped = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        maps = torch.randn(1, 96, 6, 6)
    halves = [
        nn.functional.conv2d(half, weight, bias, padding=2)
        for half, weight, bias in zip(maps.chunk(2, 1), grouped.weight.chunk(2), grouped.bias.chunk(2), strict=True)
    ]
    torch.testing.assert_close(grouped(maps), torch.cat(halves, dim=1))
    network = built("alexnet", 227).backbone
    assert [layer.groups for layer in network.modules() if isinstance(layer, nn.Conv2d)] == [1, 2, 1, 2, 2]
    assert network.conv2.weight.shape == grouped.weight.shape


def test_googlenets_modules_have_their_parameters_and_maps():
    network = built("googlenet").backbone
    modules = [layer for layer in network if isinstance(layer, Inception)]
    counts = [163_696, 388_736, 376_176, 449_160, 510_104, 605_376, 868_352, 1_043_456, 1_444_080]
    assert [parameters(module) for module in modules] == counts
    assert [widths.total for widths in MODULES.values()] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


def test_googlenets_auxiliary_classifiers_have_their_parameters():
    auxiliaries = built("googlenet").auxiliaries
    assert {name: parameters(head) for name, head in auxiliaries.heads.items()} == {
        "inception4a": 3_188_840,
        "inception4d": 3_190_888,
    }
    assert auxiliaries.weight == 0.3


def test_googlenet_without_auxiliary_classifiers_takes_images_of_other_sizes():
    network = built("googlenet", 96, auxiliary=False, outputs=3)
    assert network(torch.empty(2, 3, 96, 96, device="meta")).shape == (2, 3)
    with pytest.raises(UserError, match=r"auxiliary classifiers are made for images of 224 x 224 pixels, not 96 x 96"):
        built("googlenet", 96)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 2.0])
def test_a_share_that_drops_out_is_below_one(dropout):
    with pytest.raises(UserError, match=r"network\.options\.dropout"):
        built("googlenet", dropout=dropout)


@pytest.mark.parametrize(("name", "side"), [("alexnet", 256), ("zfnet", 227), ("vgg-cnn-s", 256), ("overfeat", 300)])
def test_other_sizes_are_refused_with_the_right_one(name, side):
    sides = ARCHITECTURES[name].sides
    with pytest.raises(UserError, match=rf"not {side} x {side}") as raised:
        built(name, side)
    assert f"data.image_size={sides[-1]}" in raised.value.remedy


def test_alexnets_own_first_weights_start_some_biases_at_one():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ARCHITECTURES["alexnet"].create(
            2, channels=1, image_hw=(227, 227), options={"initialisation": "paper"}
        )
    starts = {name: layer.bias for name, layer in network.backbone.named_children() if hasattr(layer, "bias")}
    ones = {name for name, bias in starts.items() if bias.eq(1).all()}
    zeros = {name for name, bias in starts.items() if bias.eq(0).all()}
    assert (ones, zeros) == ({"conv2", "conv4", "conv5", "fc6", "fc7"}, {"conv1", "conv3"})
    for weight in (network.backbone.fc6.weight, network.head.weight):
        assert weight.std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("name", "side", "count"),
    [("vgg16", 224, 138_357_544), ("resnet50", 224, 25_557_032), ("inception_v3", 299, 23_834_568)],
)
def test_those_that_torchvision_keeps_have_their_published_counts(name, side, count):
    assert parameters(built(f"torchvision:{name}", side)) == count
