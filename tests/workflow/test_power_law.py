import numpy as np
import pytest

from convolve.workflow.power_law import Measured, PowerLaw, fit_power_law

SIZES = np.array([10, 20, 45, 95, 205, 435, 925, 1970], dtype=float)
TESTED = 10_000


def judged(law, *, draws=3, sizes=SIZES):
    """Test images right in exactly the share that a law says, spread over them evenly."""
    ranks = np.random.default_rng(0).permutation(TESTED)
    right = [np.tile(ranks >= law.error(n) * TESTED, (draws, 1)).astype(float) for n in sizes]
    return Measured(sizes, right, np.arange(TESTED))


@pytest.mark.parametrize(("floor", "drop", "exponent"), [(0.1, 0.3, 0.5), (0.05, 0.4, 0.3), (0.0, 0.45, 0.7)])
def test_a_power_law_is_recovered_and_inverted(floor, drop, exponent):
    truth = PowerLaw(floor, drop, exponent, 10.0)
    fitted = fit_power_law(judged(truth), seed=0)
    for n in (10, 200, 1970, 4 * 1970):
        assert fitted.law.error(n) == pytest.approx(truth.error(n), abs=0.002)
    gain, low, high = fitted.gain(1970, 3940)
    assert low <= truth.error(1970) - truth.error(3940) <= high
    assert low <= gain <= high
    assert truth.images_for(truth.error(777)) == pytest.approx(777)
    assert truth.images_for(floor / 2 - 1e-9) == np.inf


def test_the_interval_of_the_gain_holds_the_truth_as_often_as_it_says():
    truth, held = PowerLaw(0.08, 0.35, 0.45, 10.0), 0
    for trial in range(20):
        random = np.random.default_rng(trial)
        hardness = random.random(400)
        right = [
            np.stack([hardness > truth.error(n) + random.normal(0, 0.08 / np.sqrt(n)) for _ in range(3)]).astype(float)
            for n in SIZES
        ]
        _, low, high = fit_power_law(Measured(SIZES, right, np.arange(400)), seed=0).gain(1970, 3940)
        held += low <= truth.error(1970) - truth.error(3940) <= high
    # Of 20 intervals of 95 %, 16 or fewer hold the truth once in 400 such tests.
    assert held >= 17


def test_what_falls_and_rises_again_is_not_carried_on():
    right = [np.tile(np.arange(TESTED) >= error * TESTED, (1, 1)).astype(float) for error in (0.1, 0.5, 0.1, 0.5, 0.1)]
    assert "do not lie on a curve" in fit_power_law(Measured(SIZES[:5], right, np.arange(TESTED)), seed=0)


def test_three_points_are_too_few():
    assert "too few" in fit_power_law(judged(PowerLaw(0.1, 0.3, 0.5, 10.0), sizes=SIZES[:3]), seed=0)
