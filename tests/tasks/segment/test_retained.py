import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from convolve.tasks.segment.retained import auroc, errors_held, retained_accuracy

SHARES = np.arange(1, 21) / 20
COUNTS = arrays(np.int64, (30, 2), elements=st.integers(0, 50)).filter(lambda counts: counts.any())
BINS = 1000


@pytest.fixture(scope="module")
def pixels():
    """Uncertainty in [0, 1), and whether each of 20,000 pixels is wrong, the more often the less certain."""
    generator = np.random.default_rng(0)
    uncertainty = generator.beta(1, 4, 20_000)
    return uncertainty, generator.random(20_000) < uncertainty


@pytest.fixture(scope="module")
def counts(pixels):
    uncertainty, wrong = pixels
    edges = np.linspace(0, 1, BINS + 1)
    return np.stack([np.histogram(uncertainty[wrong == kind], edges)[0] for kind in (False, True)], axis=1)


@pytest.mark.parametrize("share", SHARES)
def test_the_most_certain_pixels_are_those_that_sorting_finds(pixels, counts, share):
    uncertainty, wrong = pixels
    kept = np.argsort(uncertainty)[: round(share * len(wrong))]
    assert retained_accuracy(counts, share) == pytest.approx(1 - wrong[kept].mean(), abs=2e-3)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.2, 1])
def test_the_errors_of_the_least_certain_pixels_are_those_that_sorting_finds(pixels, counts, share):
    uncertainty, wrong = pixels
    dropped = np.argsort(-uncertainty)[: round(share * len(wrong))]
    assert errors_held(counts, share) == pytest.approx(wrong[dropped].sum() / wrong.sum(), abs=2e-3)


def test_the_area_is_scikit_learns(pixels, counts):
    uncertainty, wrong = pixels
    assert auroc(counts) == pytest.approx(roc_auc_score(wrong, np.floor(uncertainty * BINS)), rel=1e-12)


def test_an_oracle_keeps_the_accuracy_rising():
    """All errors above all others: with a tenth wrong, a tenth dropped leaves none."""
    counts = np.zeros((10, 2), np.int64)
    counts[:9, 0], counts[9, 1] = 100, 100
    curve = [retained_accuracy(counts, share) for share in SHARES]
    assert (np.diff(curve) <= 1e-12).all()
    assert retained_accuracy(counts, 0.9) == 1
    assert errors_held(counts, 0.05) == pytest.approx(0.5)
    assert (errors_held(counts, 0.1), auroc(counts)) == (1, 1)


def test_uncertainty_that_knows_nothing_gains_nothing():
    counts = np.full((10, 2), 7)
    assert [retained_accuracy(counts, share) for share in SHARES] == pytest.approx([0.5] * 20)
    assert errors_held(counts, 0.2) == pytest.approx(0.2)
    assert auroc(counts) == pytest.approx(0.5)


@given(COUNTS, st.floats(0.01, 0.99))
def test_kept_and_dropped_pixels_are_all(counts, share):
    right, wrong = counts.sum(axis=0)
    kept = share * (right + wrong)
    kept_errors = kept * (1 - retained_accuracy(counts, share))
    dropped = errors_held(counts, 1 - share)
    assert kept_errors + (dropped or 0) * wrong == pytest.approx(wrong, abs=1e-6)


def test_what_has_no_answer_is_none():
    nothing, no_errors = np.zeros((5, 2), np.int64), np.array([[3, 0], [2, 0]])
    assert (retained_accuracy(nothing, 0.5), errors_held(nothing, 0.5), auroc(nothing)) == (None, None, None)
    assert (retained_accuracy(no_errors, 0.5), errors_held(no_errors, 0.5), auroc(no_errors)) == (1, None, None)
