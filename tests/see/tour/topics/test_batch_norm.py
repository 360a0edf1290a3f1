"""Batch normalisation against its definition in NumPy, finite differences and PyTorch."""

import numpy as np
import pytest
import torch
from torch import nn

from convolve.see.tour.normalised_networks import deep_network, folded, normalise, normalise_backward
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("batch-norm").numbers


def by_definition(x, gamma, beta, eps=1e-5):
    result = np.empty_like(x)
    for feature in range(x.shape[1]):
        column = x[:, feature]
        mean = sum(column) / len(column)
        variance = sum((value - mean) ** 2 for value in column) / len(column)
        result[:, feature] = gamma[feature] * (column - mean) / np.sqrt(variance + eps) + beta[feature]
    return result


def example(seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(6, 3)), generator.normal(size=3), generator.normal(size=3)


def test_normalise_is_the_definition_and_pytorchs():
    x, gamma, beta = example()
    found = normalise(torch.tensor(x), torch.tensor(gamma), torch.tensor(beta))
    np.testing.assert_allclose(found, by_definition(x, gamma, beta), atol=1e-12)
    theirs = nn.functional.batch_norm(
        torch.tensor(x), None, None, torch.tensor(gamma), torch.tensor(beta), training=True
    )
    np.testing.assert_allclose(found, theirs, atol=1e-12)


def test_the_backward_formula_by_central_differences():
    x, gamma, beta = example()
    dy = np.random.default_rng(1).normal(size=x.shape)
    given = [x, gamma, beta]
    found = normalise_backward(torch.tensor(x), torch.tensor(gamma), torch.tensor(dy))
    for position, gradient in enumerate(found):
        for index in np.ndindex(given[position].shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [array.copy() for array in given]
                moved[position][index] += step
                ends.append(np.sum(dy * by_definition(*moved)))
            assert float(gradient[index]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-8)


def test_the_batch_1_2_3_6_by_hand(numbers):
    hand = numbers["by_hand"]
    # Squares of -2, -1, 0, 3 add to 14: over 4 it is 3.5, over 3 it is 4.666667.
    assert (hand["mean"], hand["biased_variance"]) == (3, 3.5)
    assert hand["unbiased_variance"] == pytest.approx(14 / 3)
    assert hand["output"] == pytest.approx(np.array([-2, -1, 0, 3]) / np.sqrt(3.5 + 1e-5), abs=1e-12)
    assert hand["running_mean_after_one_batch"] == pytest.approx(0.3)
    assert hand["running_variance_after_one_batch"] == pytest.approx(0.9 + 1.4 / 3)


def test_differences_that_are_stated_are_rounding(numbers):
    assert numbers["by_hand"]["difference_from_definition"] < 1e-14
    assert numbers["backward_difference"] < 1e-13
    assert numbers["folding_difference"] < 1e-14


def test_folding_by_its_formula():
    generator = torch.Generator().manual_seed(0)
    convolution, norm = nn.Conv2d(2, 3, 3).double(), nn.BatchNorm2d(3).double()
    for values in (*convolution.parameters(), *norm.parameters(), norm.running_mean, norm.running_var):
        values.data = torch.rand(values.shape, generator=generator, dtype=torch.float64) + 0.5
    images = torch.rand(2, 2, 6, 6, generator=generator, dtype=torch.float64)
    scale = (norm.weight / (norm.running_var + norm.eps) ** 0.5).detach()
    one = folded(convolution, norm)
    np.testing.assert_allclose(one.weight.detach(), convolution.weight.detach() * scale[:, None, None, None])
    bias = (convolution.bias.detach() - norm.running_mean) * scale + norm.bias.detach()
    np.testing.assert_allclose(one.bias.detach(), bias)
    np.testing.assert_allclose(one(images).detach(), norm.eval()(convolution(images)).detach(), atol=1e-13)


def test_pre_activations_shrink_without_and_stay_with_batch_norm(numbers):
    without, with_norm = numbers["deviations"]["without"], numbers["deviations"]["with"]
    assert len(without) == len(with_norm) == numbers["depth"]
    assert without[-1] < 0.01 * without[0]
    assert with_norm == pytest.approx([1] * numbers["depth"], abs=1e-3)


def test_training_is_faster_with_batch_norm(numbers):
    losses = numbers["losses"]
    assert losses["without"][0] == pytest.approx(np.log(10), abs=0.01)
    assert losses["with"][-1] < 0.1 * losses["without"][-1]


def test_both_networks_start_from_the_same_weights():
    networks = [
        deep_network((4, 3, 2), depth=2, batch_norm=norm, weight_scale=1.0, key=(0, "test")) for norm in (False, True)
    ]
    first, second = ([layer.weight for layer in network if isinstance(layer, nn.Linear)] for network in networks)
    assert len(first) == len(second) == 3
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
