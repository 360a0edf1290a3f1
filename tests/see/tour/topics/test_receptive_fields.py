"""Section 14's table, the recurrence by hand, and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convolve.see.tour.field_growth import growth, side_by_gradient
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("receptive-fields").numbers


def test_the_table(numbers):
    sides, jumps = numbers["sides"], numbers["jumps"]
    assert (sides["LeNet-5"], jumps["LeNet-5"]) == ([5, 6, 14, 16, 32], [1, 2, 2, 4, 4])
    assert sides["AlexNet"] == [11, 19, 51, 67, 99, 131, 163, 195]
    assert jumps["AlexNet"] == [4, 8, 8, 16, 16, 16, 16, 32]
    assert sides["ZFNet"][-2:] == [139, 171]
    assert sides["VGG-16"][-2:] == [196, 212]
    assert jumps["VGG-16"][-2:] == [16, 32]
    last = {name: (sides[name][-1], jumps[name][-1]) for name in ("GoogLeNet", "ResNet-18", "ResNet-50")}
    assert last == {"GoogLeNet": (715, 32), "ResNet-18": (435, 32), "ResNet-50": (427, 32)}


def test_gradients_reach_the_same_squares(numbers):
    assert numbers["sides by gradient"] == {"LeNet-5": 32, "AlexNet": 195, "VGG-16": 212}


@given(layers=st.lists(st.tuples(st.sampled_from(["conv", "pool"]), st.integers(1, 4), st.integers(1, 2)), max_size=4))
@settings(deadline=None, max_examples=40)
def test_growth_gradients_and_the_recurrence_agree(layers):
    side, jump = 1, 1
    modules = [nn.Conv2d(1, 1, 3, padding=1)]
    side, jump = side + 2 * jump, jump
    for kind, kernel, stride in layers:
        modules.append(nn.Conv2d(1, 1, kernel, stride) if kind == "conv" else nn.MaxPool2d(kernel, stride))
        side, jump = side + (kernel - 1) * jump, jump * stride
    chain = nn.Sequential(*modules)
    image_side = 3 * side + 4 * jump
    assert growth(chain.to("meta"), channels=1, image_hw=(image_side, image_side))[-1].side == side
    if all(kernel >= stride for _, kernel, stride in layers):  # windows with gaps between leave pixels unseen
        assert side_by_gradient(chain, side=image_side) == side


def test_two_small_filters_see_as_far_as_a_large_one():
    def stack(count, kernel):
        return nn.Sequential(*(nn.Conv2d(2, 2, kernel, padding=kernel // 2) for _ in range(count)))

    assert [side_by_gradient(stack(*of), side=31) for of in ((1, 5), (2, 3), (1, 7), (3, 3))] == [5, 5, 7, 7]


def test_a_pass_on_shapes_leaves_the_network_without_hooks():
    chain = nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2)).to("meta")
    growth(chain, channels=1, image_hw=(16, 16))
    assert not any(layer._forward_hooks for layer in chain)
    assert isinstance(chain(torch.empty(1, 1, 16, 16, device="meta")), torch.Tensor)
