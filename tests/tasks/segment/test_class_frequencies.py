import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.utils.class_weight import compute_class_weight

from convolve.errors import UserError
from convolve.tasks.segment.class_frequencies import choose_class_weights, class_weights

PIXELS = arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=st.integers(1, 10_000))


def test_median_frequency_of_the_worked_example():
    """400, 300, 200, 90 and 10 pixels, all classes in every image."""
    pixels = np.array([[100, 200, 50, 45, 5], [300, 100, 150, 45, 5]])
    assert class_weights("median-frequency", pixels).tolist() == pytest.approx([0.5, 0.667, 1, 2.222, 20], abs=5e-4)


def test_a_frequency_is_a_share_of_the_images_that_show_the_class():
    """The car fills a tenth of the one image that has it, though a hundredth of all pixels."""
    pixels = np.array([[90, 10]] + [[100, 0]] * 9)
    ground, car = class_weights("median-frequency", pixels).tolist()
    assert ground / car == pytest.approx(0.1 / 0.99)
    assert (ground, car) == pytest.approx((0.545 / 0.99, 0.545 / 0.1))


@given(PIXELS)
def test_balanced_weights_are_scikit_learns(pixels):
    totals = pixels.sum(axis=0)
    labels = np.repeat(np.arange(len(totals)), totals)
    expected = compute_class_weight("balanced", classes=np.arange(len(totals)), y=labels)
    assert class_weights("balanced", pixels).numpy() == pytest.approx(expected, rel=1e-5)


@given(PIXELS)
def test_sqrt_weights_go_half_as_far_and_have_a_mean_of_1(pixels):
    totals = pixels.sum(axis=0)
    half, whole = (class_weights(name, pixels).double().numpy() for name in ("sqrt", "balanced"))
    assert (half / half[0]) ** 2 == pytest.approx(whole / whole[0], rel=1e-5)
    assert (half * totals).sum() / totals.sum() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("name", ["balanced", "sqrt", "median-frequency"])
def test_a_class_without_pixels_weighs_nothing_and_changes_no_other(name):
    pixels = np.array([[60, 30, 10], [80, 0, 20]])
    with_gap = class_weights(name, np.insert(pixels, 1, 0, axis=1)).tolist()
    assert with_gap.pop(1) == 0
    assert with_gap == pytest.approx(class_weights(name, pixels).tolist())


def test_no_weights_and_no_pixels():
    assert class_weights("none", np.zeros((3, 2), np.int64)) is None
    with pytest.raises(UserError, match="no pixel of the training images has a class"):
        class_weights("sqrt", np.zeros((3, 2), np.int64))


@pytest.mark.parametrize(
    ("pixels", "loss", "chosen", "why"),
    [
        ([500, 100], "softmax", "none", "5.0 : 1"),
        ([500, 0, 100], "softmax", "none", "5.0 : 1"),
        ([5000, 100], "softmax", "sqrt", "50 : 1 in pixels; rarest b)"),
        ([5000, 100], "softmax+dice", "sqrt", "50 : 1"),
        ([5000, 100], "dice", "none", "'dice' counts all classes alike"),
        ([0, 0], "softmax", "none", "even"),
    ],
)
def test_auto_weights_classes_that_are_uneven(pixels, loss, chosen, why):
    name, reason = choose_class_weights("auto", np.array([pixels]), "abc"[: len(pixels)], loss=loss)
    assert name == chosen
    assert why in reason


def test_what_a_recipe_says_is_kept():
    assert choose_class_weights("median-frequency", np.array([[9, 1]]), "ab") == ("median-frequency", "")
