"""The network that is the piecewise linear interpolant."""

import numpy as np
import pytest
import torch

from convolve.see.tour.topics.universal_approximation import Interpolant
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("universal-approximation").numbers


def test_errors_and_bounds_of_sin(numbers):
    assert numbers["widths"] == [8, 16, 32, 64]
    wanted = ["0.070378", "0.018846", "0.0047921", "0.0012031"]
    assert [f"{error:.5g}" for error in numbers["largest_errors"]] == wanted
    assert [f"{bound:.5g}" for bound in numbers["bounds"]] == ["0.077106", "0.019277", "0.0048191", "0.0012048"]
    assert all(error <= bound for error, bound in zip(numbers["largest_errors"], numbers["bounds"], strict=True))


def test_the_error_falls_with_the_square_of_the_width(numbers):
    assert numbers["slope_of_log_error"] == pytest.approx(-2, abs=0.05)
    assert numbers["slope_of_last_doubling"] == pytest.approx(-2, abs=0.01)


def test_what_is_learned_is_worse_than_what_is_written_down(numbers):
    pairs = zip(numbers["learned_largest_errors"], numbers["largest_errors"], strict=True)
    assert all(learned > written for learned, written in pairs)


def test_it_is_numpys_interpolation():
    network = Interpolant(torch.exp, start=-1, end=2, units=7)
    points = np.linspace(-1, 2, 301)
    with torch.no_grad():
        found = network(torch.tensor(points)[:, None])[:, 0]
    knots = np.linspace(-1, 2, 8)
    np.testing.assert_allclose(found, np.interp(points, knots, np.exp(knots)), atol=1e-12)
