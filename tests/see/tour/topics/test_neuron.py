"""The activation functions against values by hand and finite differences."""

import numpy as np
import pytest
import torch

from convolve.see.tour.topics.neuron import ACTIVATIONS, neuron, scaled_tanh, value_and_slope
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("neuron").numbers


def test_sigmoid_and_tanh_have_the_values_of_the_tables(numbers):
    assert numbers["values"]["sigmoid"] == pytest.approx([0.119203, 0.268941, 0.5, 0.731059, 0.880797], abs=5e-7)
    assert numbers["values"]["tanh"][3:] == pytest.approx([0.761594, 0.964028], abs=5e-7)


def test_the_slope_of_relu_at_0_is_0(numbers):
    assert numbers["slopes"]["ReLU"] == [0, 0, 0, 1, 1]


def test_largest_slopes(numbers):
    assert numbers["largest_slope"] == {"linear": 1, "sigmoid": 0.25, "tanh": 1, "ReLU": 1}


def test_tanh_is_a_sigmoid(numbers):
    assert numbers["tanh_from_sigmoid_difference"] < 1e-15


def test_lenets_tanh_goes_through_minus_1_and_1(numbers):
    assert numbers["lenet_at_minus_1_and_1"] == pytest.approx([-1, 1], abs=5e-6)
    assert float(scaled_tanh(torch.tensor(1e6))) == pytest.approx(1.7159, abs=1e-6)


def test_relu_makes_half_of_normal_numbers_zero(numbers):
    # Four standard errors of a share of 1/2.
    assert numbers["share_of_zeros_after_relu"] == pytest.approx(0.5, abs=4 * 0.5 / numbers["drawn"] ** 0.5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_by_central_differences(name):
    activation = ACTIVATIONS[name][0]
    # Away from 0, where ReLU has no derivative.
    points = torch.tensor([-3.1, -1.7, -0.4, 0.3, 1.1, 2.9], dtype=torch.float64)
    _, slopes = value_and_slope(activation, points)
    measured = (activation(points + 1e-5) - activation(points - 1e-5)) / 2e-5
    np.testing.assert_allclose(slopes, measured, rtol=1e-6, atol=1e-9)


def test_one_neuron_by_hand(numbers):
    # 0.5 + 2 * 1 - 1 * 3 = -0.5; 1 / (1 + e^0.5) = 0.377541.
    example = numbers["example"]
    assert (example["linear"], example["ReLU"]) == (-0.5, 0)
    assert example["sigmoid"] == pytest.approx(0.377541, abs=5e-7)
    many = neuron(torch.eye(2), torch.tensor([2.0, -1.0]), 0.5, torch.relu)
    assert many.tolist() == [2.5, 0]
