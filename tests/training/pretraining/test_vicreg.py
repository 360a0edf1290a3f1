import numpy as np
import pytest
import torch

from convolve.errors import UserError
from convolve.training.pretraining.vicreg import VicReg, projector, spread_of


def by_hand(first, second):
    """The paper's algorithm 1, with its weights, in NumPy and loops."""
    d = first.shape[1]
    total = 25 * np.mean((first - second) ** 2)
    for z in (first, second):
        total += 25 * np.mean(np.maximum(0, 1 - np.sqrt(z.var(axis=0, ddof=1) + 1e-4))) / 2
        covariance = np.cov(z.T, ddof=1)
        total += sum(covariance[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    return total


def test_the_loss_is_the_papers():
    first, second = np.random.default_rng(0).normal(0, 0.7, (2, 12, 5))
    outputs = torch.from_numpy(np.stack([first, second], axis=1)).float()
    losses = VicReg().losses(outputs, torch.zeros(12))
    assert losses.shape == (12,)
    assert float(losses.mean()) == pytest.approx(by_hand(first, second), rel=1e-5)


def test_equal_views_with_independent_unit_dimensions_cost_nothing():
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    outputs = torch.stack([corners, corners], dim=1)
    assert float(VicReg().losses(outputs, torch.zeros(4)).abs().max()) < 1e-6


def test_the_gradient_is_that_of_finite_differences():
    outputs = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def mean(z):
        # The loss computes in float32; its gradient must still agree to that precision.
        return VicReg().losses(z, torch.zeros(6)).mean().double()

    variable = outputs.clone().requires_grad_()
    [gradient] = torch.autograd.grad(mean(variable), variable)
    step = 1e-2
    for index in np.ndindex(*outputs.shape):
        up, down = outputs.clone(), outputs.clone()
        up[index] += step
        down[index] -= step
        assert float(gradient[index]) == pytest.approx(float((mean(up) - mean(down)) / (2 * step)), abs=2e-2)


def test_spread_is_1_over_the_sphere_and_0_in_a_point():
    normal = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    assert spread_of(normal) == pytest.approx(1, abs=0.01)
    assert spread_of(torch.ones(10, 64)) == pytest.approx(0, abs=1e-6)


def test_a_collapse_is_an_error_after_the_first_epochs():
    method, collapsed = VicReg(), torch.ones(8, 2, 4)
    for epoch in (0, 1):
        method.begin_epoch(epoch)
        assert method.evaluate(collapsed, torch.zeros(8))["spread"] == pytest.approx(0, abs=1e-6)
    method.begin_epoch(2)
    with pytest.raises(UserError, match="pre-training collapsed"):
        method.evaluate(collapsed, torch.zeros(8))


def test_the_projector_is_four_times_as_wide_as_the_features():
    method = VicReg()
    network = method.network(torch.nn.Flatten(), features=48, channels=3, image_hw=(4, 4))
    assert network(torch.rand(5, 6, 4, 4)).shape == (5, 2, 4 * 48)
    assert projector(1000, 2048)(torch.rand(3, 1000)).shape == (3, 2048)
