import pytest

from convolve.see.tour.topic import TOPICS
from see.tour.topics.sections import section_of


def test_two_forms_of_momentum_part_when_the_rate_drops():
    numbers = section_of("sgd").numbers
    assert numbers["rates"] == [0.1, 0.1, 0.1, 0.01, 0.01, 0.01]
    assert numbers["caffe_momentum"] == pytest.approx([0.9, 0.72, 0.486, 0.27054, 0.073921, -0.103776], abs=1e-6)
    assert numbers["pytorch_momentum"] == pytest.approx([0.9, 0.72, 0.486, 0.46008, 0.432151, 0.402694], abs=1e-6)


def test_weight_decay_is_half_the_square():
    # One step of 0.1 from 1: the gradient of 0.5/2 w^2 is 0.5, that of 0.5 w^2 is 1.
    penalty = section_of("sgd").numbers["penalty"]
    assert penalty["weight_decay_0.5"] == pytest.approx(0.95)
    assert penalty["half_square_0.5"] == pytest.approx(0.95)
    assert penalty["square_0.5"] == pytest.approx(0.9)


def test_the_penalty_ends_nearer_to_zero():
    end = section_of("sgd").numbers["end"]
    assert abs(end["plain, penalty 0.1"][0]) < abs(end["plain"][0])


def test_a_batchs_noise_falls_with_the_root_of_its_size():
    spread = section_of("sgd").numbers["gradient_spread"]
    for size in (4, 16, 64):
        # 4,000 draws: the standard deviation is known to about 1 %.
        assert spread[str(size)] * size**0.5 == pytest.approx(spread["1"], rel=0.06)


def test_repeats_bit_for_bit():
    assert TOPICS["sgd"].compute(0) == section_of("sgd")
