"""Section 13's numbers for 1..25, and pooling against loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import block_reduce

from convolve.see.tour.topics.pooling import max_pooled, mean_pooled, routed
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("pooling").numbers


def test_check_values_of_1_to_25(numbers):
    assert numbers["max 3/2"] == [[13, 15], [23, 25]]
    assert numbers["max 2/2, floor"] == [[7, 9], [17, 19]]
    assert numbers["max 2/2, ceil"] == [[7, 9, 10], [17, 19, 20], [22, 24, 25]]
    assert numbers["mean 2/2"] == [[4, 6], [14, 16]]


def test_the_maximum_routes_to_its_winner_and_the_mean_spreads(numbers):
    winner = np.zeros((5, 5))
    winner[2, 2] = 4
    assert numbers["gradient of max 3/2"] == winner.tolist()
    shares = np.zeros((5, 5))
    shares[:4, :4] = 0.25
    assert numbers["gradient of mean 2/2"] == shares.tolist()


def loops(image, kernel, stride, what, *, ceil=False):
    """Windows one after another; with `ceil` also those that stick out, as long as they begin inside."""
    starts = [
        [start for start in range(0, length, stride) if start + kernel <= length or (ceil and _begins(length, start))]
        for length in image.shape
    ]

    def _pooled(top, left):
        return what(image[top : top + kernel, left : left + kernel])

    return np.array([[_pooled(top, left) for left in starts[1]] for top in starts[0]])


def _begins(length, start):
    return start < length


@given(
    height=st.integers(3, 10),
    width=st.integers(3, 10),
    kernel=st.integers(2, 3),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_pooling_by_its_definition(height, width, kernel, seed):
    image = np.random.default_rng(seed).normal(size=(height, width))
    tensor = torch.from_numpy(image)
    np.testing.assert_array_equal(max_pooled(tensor, kernel, 2).numpy(), loops(image, kernel, 2, np.max))
    np.testing.assert_allclose(mean_pooled(tensor, kernel, 2).numpy(), loops(image, kernel, 2, np.mean), atol=1e-12)
    np.testing.assert_array_equal(max_pooled(tensor, 2, 2, ceil=True), loops(image, 2, 2, np.max, ceil=True))
    even = image[: height // 2 * 2, : width // 2 * 2]
    np.testing.assert_array_equal(max_pooled(tensor, 2, 2), block_reduce(even, (2, 2), np.max))


@given(seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_gradients_by_finite_differences(seed):
    # Distinct by more than the step, so that no winner changes.
    image = torch.from_numpy(np.random.default_rng(seed).permutation(25).reshape(5, 5)).double()
    for pool in (lambda x: max_pooled(x, 3, 2), lambda x: mean_pooled(x, 2, 2)):
        numeric = torch.zeros_like(image)
        for row in range(5):
            for column in range(5):
                step = torch.zeros_like(image)
                step[row, column] = 0.25
                numeric[row, column] = (pool(image + step).sum() - pool(image - step).sum()) / 0.5
        torch.testing.assert_close(routed(image, pool), numeric, atol=1e-10, rtol=0)
