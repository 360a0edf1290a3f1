"""Softmax and its loss against values by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from convolve.see.tour.topics.softmax import naive_softmax
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("softmax").numbers


def test_the_worked_example(numbers):
    assert numbers["probabilities"] == pytest.approx([0.090031, 0.244728, 0.665241], abs=5e-7)
    assert numbers["loss"] == pytest.approx(2.407606, abs=5e-7)
    assert numbers["gradient"] == pytest.approx([-0.909969, 0.244728, 0.665241], abs=5e-7)
    assert numbers["gradient_sum"] == pytest.approx(0, abs=1e-15)


def test_the_gradient_by_central_differences(numbers):
    def loss(logits):
        return -log_softmax(logits)[0]

    logits, step = np.array([1.0, 2.0, 3.0]), 1e-5
    measured = [(loss(logits + step * row) - loss(logits - step * row)) / (2 * step) for row in np.eye(3)]
    assert numbers["gradient"] == pytest.approx(measured, rel=1e-6)


def test_a_constant_added_to_all_logits_changes_nothing(numbers):
    assert numbers["shifted_difference"] < 1e-15


def test_an_untrained_network_starts_at_ln_k(numbers):
    assert numbers["untrained_loss"]["10"] == pytest.approx(2.302585, abs=5e-7)
    assert numbers["untrained_loss"]["1000"] == pytest.approx(6.907755, abs=5e-7)
    assert numbers["starting_losses"][0] == pytest.approx(math.log(10), abs=1e-3)
    assert numbers["starting_losses"] == sorted(numbers["starting_losses"])


def test_the_formula_overflows_where_the_library_does_not(numbers):
    large = numbers["large_logits"]
    assert large["exp_overflows"]
    assert large["naive_is_nan"]
    assert large["stable"] == pytest.approx([0.090031, 0.244728, 0.665241], abs=1e-6)
    limit = numbers["float32_exp_overflows_above"]
    assert limit == pytest.approx(88.7228, abs=1e-4)
    assert torch.tensor(limit - 1e-3).exp().isfinite()
    assert torch.tensor(limit + 1e-3).exp().isinf()
    np.testing.assert_allclose(naive_softmax(torch.tensor([1.0, 2.0, 3.0])), numbers["probabilities"], rtol=1e-6)


def test_label_smoothing_by_hand(numbers):
    # -log p = 2.407606, 1.407606, 0.407606, of mean 1.407606; 0.9 * 2.407606 + 0.1 * 1.407606.
    assert numbers["smoothed_loss"] == pytest.approx(2.307606, abs=5e-7)
    assert numbers["smoothed_target"] == pytest.approx([0.9333333, 0.0333333, 0.0333333], abs=1e-7)
