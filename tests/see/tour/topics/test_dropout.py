"""Dropout against its definition in NumPy: every mask, one after the other."""

import itertools
import math

import numpy as np
import pytest
import torch

from convolve.see.tour.masked_networks import all_masks, drawn_sums, ensemble, mask_probabilities, weight_scaled
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("dropout").numbers


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_the_weight_scaled_layer_is_the_geometric_mean_of_all_masked_ones(p):
    generator = np.random.default_rng(3)
    weights, biases, inputs = generator.normal(size=(3, 5)), generator.normal(size=3), generator.normal(size=5)
    mean = np.ones(3)
    for mask in itertools.product((0, 1), repeat=5):
        logits = weights @ (np.array(mask) * inputs) + biases
        share = math.prod(1 - p if kept else p for kept in mask)
        mean *= (np.exp(logits) / np.exp(logits).sum()) ** share
    mean /= mean.sum()
    arguments = (torch.tensor(weights), torch.tensor(biases), torch.tensor(inputs), p)
    np.testing.assert_allclose(ensemble(*arguments), mean, atol=1e-14)
    np.testing.assert_allclose(weight_scaled(*arguments), mean, atol=1e-14)


def test_all_masks_are_there_once_and_probabilities_add_to_1():
    masks = all_masks(6)
    assert len({tuple(row) for row in masks.tolist()}) == len(masks) == 64
    assert float(mask_probabilities(masks, 0.3).sum()) == pytest.approx(1, abs=1e-14)
    assert float(mask_probabilities(torch.ones(1, 2), 0.3)) == pytest.approx(0.49)


def test_the_ensemble_of_1024_networks_is_exact(numbers):
    assert numbers["masks"] == 1024
    assert numbers["ensemble_difference"] < 2e-15
    assert numbers["arithmetic_mean"] != pytest.approx(numbers["weight_scaled"], abs=1e-3)


def test_means_over_masks_are_the_deterministic_outputs(numbers):
    assert numbers["mean_over_masks"] == pytest.approx(numbers["deterministic"], abs=1e-12)
    assert numbers["inverted_mean_over_masks"] == pytest.approx(numbers["inverted_deterministic"], abs=1e-12)
    # The two ways of scaling differ by the factor 1 - p.
    assert numbers["deterministic"] == pytest.approx((1 - numbers["p"]) * numbers["inverted_deterministic"], abs=1e-12)


def test_the_variance_is_p_over_1_minus_p_times_the_sum_of_squares(numbers):
    assert numbers["variance_over_masks"] == pytest.approx(numbers["variance_by_formula"], rel=1e-12)


def test_pytorchs_dropout_has_that_mean_and_variance():
    values = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)
    sums = drawn_sums(values, 0.25, 40_000, seed=1)
    # 0.25 / 0.75 * (1 + 4 + 9 + 0.25) = 4.75; four standard errors of the mean.
    assert float(sums.mean()) == pytest.approx(2.5, abs=4 * (4.75 / 40_000) ** 0.5)
    assert float(sums.var()) == pytest.approx(4.75, rel=0.05)


def test_p_0_changes_nothing_and_p_1_leaves_nothing():
    values = torch.tensor([1.0, -2.0, 3.5], dtype=torch.float64)
    assert drawn_sums(values, 0.0, 3, seed=0).tolist() == [2.5] * 3
    assert drawn_sums(values, 1.0, 3, seed=0).tolist() == [0.0] * 3
