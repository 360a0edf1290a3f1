"""The worked example of section 12 of the lecture, and correlation against loops and SciPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal

from convolve.see.tour.topics.convolution import IMAGE, SYMMETRIC, changed_units, correlated, shift_error
from see.tour.topics.sections import section_of


@pytest.fixture(scope="module")
def numbers():
    return section_of("convolution").numbers


def test_the_lectures_example(numbers):
    assert numbers["g"] == [[24, 40, 52, 45], [64, 96, 112, 92], [112, 160, 176, 140], [108, 152, 164, 129]]
    assert numbers["g"][0] == [24, 40, 52, 45]


def test_a_kernel_that_is_not_symmetric_tells_correlation_from_convolution(numbers):
    assert numbers["correlation"] == [
        [111, 178, 217, 145],
        [231, 348, 393, 252],
        [363, 528, 573, 360],
        [197, 274, 295, 175],
    ]
    assert numbers["convolution"] == [[29, 62, 83, 75], [99, 192, 237, 198], [207, 372, 417, 330], [263, 446, 485, 365]]


def test_in_the_interior_a_symmetric_kernel_reproduces_a_ramp():
    assert torch.equal(correlated(IMAGE, SYMMETRIC)[1:3, 1:3], 16 * torch.tensor([[6.0, 7], [10, 11]]).double())


def loops(image, kernel):
    """The definition: zeros outside, the kernel as it is."""
    height, width = image.shape
    a, b = kernel.shape[0] // 2, kernel.shape[1] // 2
    result = np.zeros_like(image)
    for x in range(height):
        for y in range(width):
            for s in range(-a, a + 1):
                for t in range(-b, b + 1):
                    if 0 <= x + s < height and 0 <= y + t < width:
                        result[x, y] += kernel[s + a, t + b] * image[x + s, y + t]
    return result


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    down=st.sampled_from([1, 3, 5]),
    across=st.sampled_from([1, 3, 5]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_correlation_by_its_definition_and_by_scipy(height, width, down, across, seed):
    generator = np.random.default_rng(seed)
    image, kernel = generator.normal(size=(height, width)), generator.normal(size=(down, across))
    ours = correlated(torch.from_numpy(image), torch.from_numpy(kernel)).numpy()
    np.testing.assert_allclose(ours, loops(image, kernel), atol=1e-12)
    np.testing.assert_allclose(ours, ndimage.correlate(image, kernel, mode="constant"), atol=1e-12)
    turned = correlated(torch.from_numpy(image), torch.from_numpy(kernel).flip(0, 1)).numpy()
    full = signal.convolve2d(image, kernel, mode="full")
    top, left = down // 2, across // 2
    np.testing.assert_allclose(turned, full[top : top + height, left : left + width], atol=1e-12)


@pytest.mark.parametrize(("kernel", "layers", "side"), [(3, 1, 3), (3, 2, 5), (3, 3, 7), (5, 1, 5), (1, 4, 1)])
def test_one_pixel_reaches_a_square(kernel, layers, side):
    units = changed_units(kernel, layers, side=11)
    rows = units.any(dim=1).nonzero().flatten().tolist()
    assert rows == list(range(5 - side // 2, 5 + side // 2 + 1))
    assert int(units.sum()) == side**2


def test_locality_sizes_and_parameters(numbers):
    assert numbers["units changed by one pixel"] == [9, 25, 49]
    assert numbers["output sizes"] == {"4 x 4": [4, 4], "28 x 28": [28, 28], "60 x 100": [60, 100]}
    assert numbers["convolution parameters"] == 8 * (3 * 3 + 1)
    assert numbers["convolution multiply-adds"] == 28 * 28 * 8 * 9
    assert numbers["fully connected parameters"] == 784 * 6272 + 6272
    assert numbers["fully connected multiply-adds"] == 784 * 6272


@given(seed=st.integers(0, 10**6), shift=st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_shifting_the_image_shifts_the_interior_exactly(seed, shift):
    assert shift_error(seed, shift=shift) == 0
