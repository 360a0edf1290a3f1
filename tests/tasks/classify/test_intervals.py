import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convolve.tasks.classify.intervals import accuracy_interval, balanced_accuracy_interval, group_numbers


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_an_interval_holds_the_accuracy_and_stays_a_share(right):
    interval = accuracy_interval(np.array(right), None)
    assert 0 <= interval.low <= np.mean(right) <= interval.high <= 1
    assert interval.low < interval.high


def test_all_right_is_not_certain():
    interval = accuracy_interval(np.ones(5, dtype=bool), None)
    assert (interval.low, interval.high) == (pytest.approx(0.5655, abs=1e-4), 1.0)
    assert interval.method == "Wilson interval for 5 images"


def test_alike_images_of_one_group_are_worth_little_more_than_one():
    right = np.repeat([True, False, True, True, True, False, True, True], 10)
    alone = accuracy_interval(right, None)
    grouped = accuracy_interval(right, np.repeat(np.arange(8), 10))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert grouped.method == "percentile bootstrap over 8 groups, 2,000 resamples"


def test_groups_of_one_image_are_images():
    right = np.arange(50) % 4 > 0
    alone, grouped = accuracy_interval(right, None), accuracy_interval(right, np.arange(50))
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high), abs=0.03)


def test_a_single_group_says_almost_nothing():
    interval = accuracy_interval(np.arange(50) % 4 > 0, np.zeros(50, dtype=np.int64))
    assert interval.low < 0.2
    assert interval.high > 0.9


def test_images_without_a_group_stand_alone():
    assert group_numbers([None, "a", None, "a"]).tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("grouped", [False, True])
def test_balanced_accuracy_is_less_sure_with_a_rare_class(grouped):
    targets = np.array([0] * 190 + [1] * 10)
    right = np.arange(200) % 5 > 0
    groups = np.arange(200) if grouped else None
    low, high = balanced_accuracy_interval(targets, right, groups, 2)
    plain = accuracy_interval(right, groups)
    assert 0 <= low < 0.8 < high <= 1
    assert high - low > 1.5 * (plain.high - plain.low)


def test_balanced_accuracy_without_spread_has_no_interval():
    assert balanced_accuracy_interval(np.array([0, 1]), np.array([True, True]), None, 2) is None
