"""The forward pass against loops and numbers by hand."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convolve.see.tour.topics.forward_pass import by_loops, parameter_count, perceptron
from see.tour.topics.sections import section_of


def test_the_network_of_the_dropout_paper_has_1276810_parameters():
    numbers = section_of("forward-pass").numbers
    assert numbers["parameters"] == 1_276_810
    assert numbers["parameters_by_layer"] == [784 * 800 + 800, 800 * 800 + 800, 800 * 10 + 10]


def test_the_small_network_by_hand():
    # a(1) = (1 + 2, -0.5 - 1 + 1, 1 + 2 - 1); a(2) = (3 - 2, 0.5 + 1.5 + 2).
    numbers = section_of("forward-pass").numbers
    assert numbers["a1"] == [3, -0.5, 2]
    assert numbers["h1"] == [3, 0, 2]
    assert numbers["a2"] == [1, 4]
    # 1 / (1 + e^3).
    assert numbers["probabilities"] == pytest.approx([0.0474259, 0.9525741], abs=5e-8)
    assert numbers["difference_from_loops"] == 0


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(0, 2**32 - 1))
def test_the_network_is_the_product_of_matrices(units, seed):
    generator = np.random.default_rng(seed)
    weights = [generator.normal(size=(after, before)) for before, after in pairwise(units)]
    biases = [generator.normal(size=len(weight)) for weight in weights]
    network = perceptron(units)
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for layer, weight, bias in zip(linear, weights, biases, strict=True):
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.copy_(torch.tensor(bias))
    inputs = generator.normal(size=(3, units[0]))
    hidden = inputs
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden = np.maximum(hidden @ weight.T + bias, 0)
    wanted = hidden @ weights[-1].T + biases[-1]
    np.testing.assert_allclose(network(torch.tensor(inputs)).detach(), wanted, atol=1e-10)
    np.testing.assert_allclose([by_loops(row, weights, biases) for row in inputs], wanted, atol=1e-10)
    assert parameter_count(network) == sum(
        weight.size + bias.size for weight, bias in zip(weights, biases, strict=True)
    )
