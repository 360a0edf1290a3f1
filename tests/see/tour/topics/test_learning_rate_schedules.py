import math

import pytest

from convolve.see.tour.topic import TOPICS
from convolve.see.tour.topics.learning_rate_schedules import caffe_policies
from convolve.training.schedules import SCHEDULES
from see.tour.topics.sections import section_of

# By hand, base 0.01 over 1,000 iterations.
EXPECTED = {
    "fixed": {0: 0.01, 999: 0.01},
    "step": {0: 0.01, 332: 0.01, 333: 1e-3, 665: 1e-3, 666: 1e-4, 999: 1e-5},
    "multistep": {499: 0.01, 500: 1e-3, 749: 1e-3, 750: 1e-4},
    "exp": {0: 0.01, 1: 0.00995, 2: 0.00990025},
    "inv": {0: 0.01, 1500: 0.01 / 8},  # 16^-.75 = 1/8
    "poly": {0: 0.01, 750: 0.005, 1000: 0.0},
    "sigmoid": {500: 0.005, 0: 0.01 / (1 + math.exp(-10))},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_caffes_policies(name):
    policy = caffe_policies(0.01, 1000)[name]
    assert {it: policy(it) for it in EXPECTED[name]} == pytest.approx(EXPECTED[name])


def test_numbers_are_those_of_the_policies():
    numbers = section_of("learning-rate-schedules").numbers
    assert set(numbers["caffe"]) == set(EXPECTED)
    assert numbers["caffe"]["poly"]["750"] == pytest.approx(0.005)
    assert numbers["caffe"]["inv"]["250"] == pytest.approx(0.01 * 3.5**-0.75)


def test_ours_are_all_there_and_warm_up_first():
    ours = section_of("learning-rate-schedules").numbers["convolve"]
    assert set(ours) == set(SCHEDULES)
    # 50 of 1,000 steps rise, the first to 1/51 of the peak.
    assert ours["constant"] == pytest.approx({"0": 0.01 / 51, "250": 0.01, "500": 0.01, "750": 0.01, "999": 0.01})
    # (1 + cos(pi (500 - 50) / 950)) / 2
    assert ours["cosine"]["500"] == pytest.approx(0.01 * (1 + math.cos(math.pi * 450 / 950)) / 2)
    # The score last rises in the fourth of ten epochs; after the seventh the rate is cut once.
    assert (ours["plateau"]["500"], ours["plateau"]["750"]) == pytest.approx((0.01, 0.001))


def test_repeats_bit_for_bit():
    assert TOPICS["learning-rate-schedules"].compute(0) == section_of("learning-rate-schedules")
