"""Section 23: weights, sight, and what composing two kernels reaches."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch import nn

from convolve.see.tour.topics.small_filters import milliseconds, stacks
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("small-filters").numbers


def test_weights_in_units_of_c_squared(numbers):
    expected = {"5x5": 25, "two 3x3": 18, "7x7": 49, "three 3x3": 27, "3x3": 9, "1x3 + 3x1": 6}
    assert numbers["parameters in units of C squared"] == expected
    assert numbers["parameters"] == {name: 64 * 64 * times for name, times in expected.items()}
    assert numbers["multiply-adds"] == {name: 56 * 56 * 64 * 64 * times for name, times in expected.items()}
    saved = numbers["weights saved, percent"]
    assert saved == {"two 3x3 for 5x5": 28.0, "three 3x3 for 7x7": 44.9, "1x3 + 3x1 for 3x3": 33.3}


def test_receptive_fields(numbers):
    assert numbers["receptive field"] == {"5x5": 5, "two 3x3": 5, "7x7": 7, "three 3x3": 7, "3x3": 3}


def test_times_are_measured(numbers):
    measured = numbers["measured"]
    assert set(measured["milliseconds"]) == {"5x5", "two 3x3", "7x7", "three 3x3", "3x3", "1x3 + 3x1"}
    assert all(time > 0 for time in measured["milliseconds"].values())
    ratio = measured["time of small to large"]["two 3x3 for 5x5"]
    assert ratio == pytest.approx(measured["milliseconds"]["two 3x3"] / measured["milliseconds"]["5x5"], abs=0.01)


def test_a_larger_layer_takes_longer_and_threads_are_put_back():
    threads = torch.get_num_threads()
    layers = {"small": nn.Sequential(nn.Conv2d(4, 4, 1)), "large": nn.Sequential(nn.Conv2d(64, 64, 7))}
    layers["small"][0] = nn.Conv2d(64, 4, 1)
    times = milliseconds(layers, torch.zeros(1, 64, 32, 32))
    assert times["small"] < times["large"]
    assert torch.get_num_threads() == threads


def test_without_a_non_linearity_two_layers_are_one_5x5_of_composed_kernels():
    first, second = stacks(1)["two 3x3"]
    kernels = [layer.weight.detach()[0, 0].double().numpy() for layer in (first, second)]
    # Layers correlate: the kernel of both is the convolution of the kernels, as true convolution would have it.
    composed = convolve2d(*kernels)
    image = torch.randn(1, 1, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one = nn.functional.conv2d(image, torch.from_numpy(composed)[None, None])
    two = nn.Sequential(first, second).double()(image)[:, :, 2:-2, 2:-2]
    np.testing.assert_allclose(two.detach().numpy(), one.numpy(), atol=1e-12)
