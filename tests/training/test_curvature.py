"""Hessian products, Lanczos vectors and the exact steps, against torch.linalg and arithmetic by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.functional import hessian as torch_hessian
from torch.autograd.functional import jacobian
from torch.func import functional_call

from convolve.randomness import torch_randomness
from convolve.training.curvature import (
    flat,
    gradient_and_hessian_product,
    hessian,
    lanczos,
    newton_step,
    saddle_free_newton_step,
)


def symmetric(size, *key):
    with torch_randomness(*key):
        matrix = torch.randn(size, size, dtype=torch.float64)
    return matrix + matrix.T


def vector(size, *key):
    with torch_randomness(*key):
        return torch.randn(size, dtype=torch.float64)


class TestHessianProduct:
    def test_is_that_of_the_whole_matrix(self):
        with torch_randomness(0):
            network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
            images, targets = torch.randn(5, 3).double(), torch.tensor([0, 1, 1, 0, 1])
        names = list(dict(network.named_parameters()))
        shapes = [parameter.shape for parameter in network.parameters()]

        def loss_of(numbers):
            pieces = numbers.split([shape.numel() for shape in shapes])
            weights = {name: piece.view(shape) for name, piece, shape in zip(names, pieces, shapes, strict=True)}
            return nn.functional.cross_entropy(functional_call(network, weights, (images,)), targets)

        parameters = list(network.parameters())
        matrix = torch_hessian(loss_of, flat(parameters).detach())
        torch.testing.assert_close(hessian(loss_of(flat(parameters)), parameters), matrix)
        gradient, product = gradient_and_hessian_product(loss_of(flat(parameters)), parameters)
        for number in range(3):
            direction = vector(len(gradient), number)
            torch.testing.assert_close(product(direction), matrix @ direction)
        torch.testing.assert_close(gradient, jacobian(loss_of, flat(parameters).detach()), rtol=1e-12, atol=1e-14)

    def test_of_parts_that_the_loss_is_linear_in_or_does_not_know(self):
        linear, unused = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
        gradient, product = gradient_and_hessian_product((2 * linear).sum(), [linear, unused])
        assert gradient.tolist() == [2, 2, 0, 0, 0]
        assert product(torch.ones(5)).tolist() == [0] * 5


class TestLanczos:
    @pytest.mark.parametrize("size", [1, 2, 12, 100])
    def test_all_vectors_give_all_eigenvalues(self, size):
        matrix = symmetric(size, size)
        subspace = lanczos(lambda v: matrix @ v, vector(size, size, "start"), size)
        found, expected = torch.linalg.eigvalsh(subspace.hessian), torch.linalg.eigvalsh(matrix)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)

    def test_few_vectors_give_the_extreme_eigenvalues(self):
        # 200 eigenvalues within [-1, 1], and three outside.
        eigenvalues = torch.cat([torch.linspace(-1, 1, 200), torch.tensor([-6.0, 5.0, 9.0])]).double()
        subspace = lanczos(lambda v: eigenvalues * v, vector(203, "few"), 25)
        found = torch.linalg.eigvalsh(subspace.hessian)
        torch.testing.assert_close(found[[0, -2, -1]], torch.tensor([-6.0, 5.0, 9.0]).double(), rtol=1e-10, atol=0)

    def test_vectors_stay_orthogonal_where_the_recurrence_alone_would_lose_it(self):
        # A converged eigenvalue is what breaks the three-term recurrence: here one stands far out, in float32.
        eigenvalues = torch.cat([torch.linspace(0, 1, 299), torch.tensor([1e3])])
        subspace = lanczos(lambda v: eigenvalues * v, torch.ones(300), 60)
        gram = subspace.basis @ subspace.basis.T
        assert (gram - torch.eye(60)).abs().max() < 1e-5

    def test_stops_where_the_subspace_is_closed(self):
        eigenvalues = torch.tensor([1.0, 1.0, 1.0, 4.0, 4.0], dtype=torch.float64)
        subspace = lanczos(lambda v: eigenvalues * v, torch.ones(5, dtype=torch.float64), 5)
        assert torch.linalg.eigvalsh(subspace.hessian).tolist() == pytest.approx([1, 4])

    def test_one_more_direction(self):
        matrix = symmetric(6, "more")
        subspace = lanczos(lambda v: matrix @ v, vector(6, "begin"), 2)
        wider = subspace.with_direction(vector(6, "direction"), lambda v: matrix @ v)
        basis = wider.basis
        assert len(basis) == 3
        torch.testing.assert_close(basis @ basis.T, torch.eye(3, dtype=torch.float64))
        torch.testing.assert_close(wider.hessian, basis @ matrix @ basis.T)
        assert len(wider.with_direction(basis.sum(0), lambda v: matrix @ v).basis) == 3


class TestExactSteps:
    def test_from_beside_a_saddle(self):
        # f = x^2 - y^2 at (1, .5): gradient (2, -1), Hessian diag(2, -2).
        place, gradient = torch.tensor([1.0, 0.5]), torch.tensor([2.0, -1.0])
        matrix = torch.diag(torch.tensor([2.0, -2.0]))
        assert (place + newton_step(gradient, matrix)).tolist() == [0, 0]
        assert (place + saddle_free_newton_step(gradient, matrix)).tolist() == [0, 1]

    @given(st.floats(0.1, 10), st.floats(0, 2 * math.pi))
    @settings(max_examples=50, deadline=None)
    def test_on_a_monkey_saddle(self, radius, angle):
        # f = x^3 - 3 x y^2 has |H| = 6 r I and |grad| = 3 r^2: the step is -grad/(6 r), of length r/2.
        x, y = radius * math.cos(angle), radius * math.sin(angle)
        gradient = torch.tensor([3 * x**2 - 3 * y**2, -6 * x * y], dtype=torch.float64)
        matrix = torch.tensor([[6 * x, -6 * y], [-6 * y, -6 * x]], dtype=torch.float64)
        step = saddle_free_newton_step(gradient, matrix)
        torch.testing.assert_close(step, -gradient / (6 * radius), rtol=1e-9, atol=1e-9 * radius)
        assert float(step.norm()) == pytest.approx(radius / 2)

    def test_damping_is_added_to_every_absolute_eigenvalue(self):
        step = saddle_free_newton_step(torch.tensor([6.0, 6.0]), torch.diag(torch.tensor([2.0, -1.0])), damping=1.0)
        assert step.tolist() == [-2, -3]

    @pytest.mark.parametrize("number", range(5))
    def test_are_equal_in_a_bowl_and_never_climb(self, number):
        matrix, gradient = symmetric(7, number), vector(7, number, "gradient")
        assert float(gradient @ saddle_free_newton_step(gradient, matrix)) < 0
        bowl = matrix @ matrix + torch.eye(7, dtype=torch.float64)
        torch.testing.assert_close(saddle_free_newton_step(gradient, bowl), newton_step(gradient, bowl))
