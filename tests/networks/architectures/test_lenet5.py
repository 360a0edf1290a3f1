from collections import Counter

import pytest
import torch

from convolve.errors import UserError
from convolve.networks.architectures.lenet5 import C3_TABLE
from convolve.networks.cost import cost_of
from convolve.networks.network import ARCHITECTURES

PAPER = {"subsampling": "trainable", "c3": "table", "output": "rbf", "squash": "tanh", "batch_norm": False}


def lenet5(outputs=10, side=32, **options):
    return ARCHITECTURES["lenet5"].create(outputs, channels=1, image_hw=(side, side), options=options)


def parameters(network):
    return sum(weight.numel() for weight in network.parameters())


def test_the_papers_layers_have_their_number_of_parameters():
    network = lenet5(**PAPER)
    counts = [parameters(layer) for layer in network.backbone if any(True for _ in layer.parameters())]
    assert counts == [156, 12, 1_516, 32, 48_120, 10_164]
    assert parameters(network) == 60_000


def test_the_table_has_sixty_links_and_every_map_of_s2_feeds_ten():
    assert sum(map(len, C3_TABLE)) == 60
    assert Counter(index for seen in C3_TABLE for index in seen) == dict.fromkeys(range(6), 10)


def test_the_plain_modern_variant_has_its_figures():
    network = lenet5(batch_norm=False)
    assert parameters(network) == 61_706
    assert cost_of(network, channels=1, image_hw=(32, 32)).multiply_adds == 416_520


def test_the_default_has_two_more_numbers_a_normalised_map_and_no_bias_before_it():
    assert parameters(lenet5()) == 61_706 + 6 + 16 + 120 + 84


def test_layers_see_what_the_paper_says():
    layers = list(lenet5(batch_norm=False).backbone)
    convolutions_and_pools = [0, 2, 3, 5, 6]
    costs = [
        cost_of(torch.nn.Sequential(*layers[: position + 1]), channels=1, image_hw=(32, 32))
        for position in convolutions_and_pools
    ]
    assert [(cost.receptive_field, cost.stride) for cost in costs] == [(5, 1), (6, 2), (14, 2), (16, 4), (32, 4)]


def test_a_digit_of_28_pixels_is_read_as_if_it_had_a_margin():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = lenet5(side=28).eval()
    large = lenet5(side=32).eval()
    large.load_state_dict(small.state_dict())
    digit = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(small(digit), large(torch.nn.functional.pad(digit, (2, 2, 2, 2))))


def test_euclidean_units_for_more_classes_than_digits_have_codes():
    assert lenet5(outputs=26, **PAPER)(torch.zeros(2, 1, 32, 32)).shape == (2, 26)


@pytest.mark.parametrize("image_hw", [(30, 30), (28, 32), (64, 64)])
def test_other_image_sizes_are_refused(image_hw):
    with pytest.raises(UserError, match="28 x 28 or 32 x 32 pixels"):
        ARCHITECTURES["lenet5"].create(10, channels=1, image_hw=image_hw)
