"""What a line separates, and what hidden layers add."""

import itertools

import pytest
import torch

from convolve.see.tour.linear_separation import CORNERS, TRUTH_TABLES, XorNetwork
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("separating").numbers


def test_truth_tables():
    for (x, y), *truth in zip(CORNERS.astype(int).tolist(), *TRUTH_TABLES.values(), strict=True):
        assert truth == [x & y, x | y, x ^ y]


def test_a_line_separates_and_and_or_but_not_xor(numbers):
    assert numbers["best_line"] == {"AND": 1, "OR": 1, "XOR": 0.75}
    assert numbers["logistic_regression"]["AND"] == numbers["logistic_regression"]["OR"] == 1
    assert numbers["logistic_regression"]["XOR"] <= 0.75


def test_two_relu_units_are_xor_exactly(numbers):
    assert numbers["xor_network"] == [0, 1, 1, 0]
    network = XorNetwork()
    for x1, x2 in itertools.product((-1.0, 0.3, 2.0), repeat=2):
        by_hand = max(x1 + x2, 0) - 2 * max(x1 + x2 - 1, 0)
        found = network(torch.tensor([[x1, x2]], dtype=torch.float64))
        assert float(found.detach()) == pytest.approx(by_hand, abs=1e-12)


def test_hidden_layers_separate_moons_and_a_neuron_does_not(numbers):
    assert numbers["moons_one_neuron"] < 0.92
    assert numbers["moons_hidden_layers"] > 0.96
    assert numbers["moons_bent_plane"] == 1
