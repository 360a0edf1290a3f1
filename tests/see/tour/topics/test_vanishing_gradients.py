import math

import numpy as np
import pytest

from convolve.see.tour.topic import TOPICS
from see.tour.topics.sections import section_of


def factors(norms):
    """What each layer multiplies the gradient by on its way down."""
    return np.array(norms[:-1]) / np.array(norms[1:])


@pytest.fixture(scope="module")
def numbers():
    return section_of("vanishing-gradients").numbers


def test_bound_of_ten_sigmoid_layers(numbers):
    assert numbers["largest_sigmoid_slope"] == 0.25
    assert numbers["sigmoid_bound_ten_layers"] == pytest.approx(9.5e-7, rel=0.01)


def test_sigmoid_decays_geometrically(numbers):
    steps = factors(numbers["gradient_norms"]["sigmoid, Glorot"])
    assert len(steps) == 19
    # Glorot's weights keep lengths on average, so a layer's factor is its mean slope: 1/4 at most, and not much less.
    assert (steps > 0.18).all()
    assert (steps < 0.27).all()


def test_he_keeps_a_relu_networks_gradient(numbers):
    norms = numbers["gradient_norms"]["ReLU, He"]
    assert max(norms) / min(norms) < 3


def test_small_weights_lose_it(numbers):
    # A factor of 0.01 sqrt(100 / 2) = 0.0707 a layer: half of the units are off.
    steps = factors(numbers["gradient_norms"]["ReLU, N(0, 0.01²)"])
    assert math.exp(np.log(steps).mean()) == pytest.approx(0.0707, rel=0.1)


def test_with_batch_norm_none_is_lost_and_the_scale_of_the_weights_does_not_matter(numbers):
    norms = numbers["gradient_norms_with_batch_norm"]
    assert all(0.3 < of[0] / of[-1] < 100 for of in norms.values())
    assert norms["ReLU, He"] == pytest.approx(norms["ReLU, N(0, 0.01²)"], rel=0.1)


def test_with_batch_norm_a_relu_networks_gradient_grows_as_yang_et_al_found(numbers):
    steps = factors(numbers["gradient_norms_with_batch_norm"]["ReLU, He"])
    assert math.exp(np.log(steps).mean()) == pytest.approx(math.sqrt(math.pi / (math.pi - 1)), rel=0.05)


def test_repeats_bit_for_bit():
    assert TOPICS["vanishing-gradients"].compute(0) == section_of("vanishing-gradients")
