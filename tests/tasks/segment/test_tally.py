import math

import numpy as np
import pytest
from scipy.special import entr, softmax
from sklearn.metrics import confusion_matrix

from convolve.data.dataset import IGNORE
from convolve.tasks.metrics.brier_score import brier_score
from convolve.tasks.metrics.reliability import BINS, ReliabilityBin, reliability
from convolve.tasks.segment.tally import ENTROPY_BINS, from_tensors, tally_image, to_tensors, without_borders

K = 5


def picture(seed=0, hw=(30, 40)):
    """Probabilities, and a mask drawn from them of which the top is ignored."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=2, size=(K, *hw))
    mask = (logits + generator.gumbel(size=logits.shape)).argmax(axis=0).astype(np.uint8)
    mask[: hw[0] // 4] = IGNORE
    return softmax(logits, axis=0).astype(np.float32), mask


def tally(probabilities, mask):
    return tally_image(probabilities, mask, entropy=entr(probabilities).sum(axis=0))


def counted(probabilities, mask):
    inside = mask != IGNORE
    return probabilities[:, inside].T.astype(np.float64), mask[inside].astype(np.int64)


def test_the_confusion_is_scikit_learns():
    probabilities, mask = picture()
    chances, truth = counted(probabilities, mask)
    found = tally(probabilities, mask)
    assert (found.confusion == confusion_matrix(truth, chances.argmax(axis=1), labels=range(K))).all()
    assert found.ignored == (mask == IGNORE).sum()


def test_sums_are_those_of_the_scores_for_images():
    probabilities, mask = picture()
    chances, truth = counted(probabilities, mask)
    found = tally(probabilities, mask)
    assert found.nll == pytest.approx(-np.log(chances[np.arange(len(truth)), truth]).sum(), rel=1e-5)
    assert found.brier == pytest.approx(brier_score(chances, truth) * len(truth), rel=1e-5)


def test_reliability_of_each_class_is_that_of_the_pixels_called_so():
    probabilities, mask = picture()
    chances, truth = counted(probabilities, mask)
    called = chances.argmax(axis=1)
    for index, bins in enumerate(tally(probabilities, mask).reliability):
        own = called == index
        expected = reliability(chances[own].max(axis=1), truth[own] == index)
        points = [ReliabilityBin(total / n, right / n, int(n)) for n, total, right in bins if n]
        assert [point.n for point in points] == [point.n for point in expected]
        assert [point.accuracy for point in points] == pytest.approx([point.accuracy for point in expected])
        assert [point.confidence for point in points] == pytest.approx([p.confidence for p in expected], rel=1e-5)


def test_entropies_are_sorted_into_bins_up_to_that_of_a_guess():
    probabilities, mask = picture()
    chances, truth = counted(probabilities, mask)
    wrong = chances.argmax(axis=1) != truth
    found = tally(probabilities, mask).entropy
    assert (found.sum(axis=0) == [(~wrong).sum(), wrong.sum()]).all()
    width = math.log(K) / ENTROPY_BINS
    for kind, pixels in enumerate((~wrong, wrong)):
        exact = np.sort(entr(chances[pixels]).sum(axis=1))
        binned = np.repeat((np.arange(ENTROPY_BINS) + 0.5) * width, found[:, kind])
        assert np.abs(exact - binned).max() < 0.51 * width


def test_extremes_fall_into_the_first_and_last_bins():
    probabilities = np.stack([np.array([[1.0, 0.5]]), np.array([[0.0, 0.5]])]).astype(np.float32)
    found = tally(probabilities, np.array([[0, 0]], np.uint8))
    assert (found.entropy[0].tolist(), found.entropy[-1].tolist()) == ([1, 0], [1, 0])
    assert found.reliability[0, BINS - 1].tolist() == [1, 1, 1]
    assert found.reliability[0, BINS // 2].tolist() == [1, 0.5, 1]


def test_a_truth_of_no_probability_costs_much_and_not_infinitely():
    probabilities = np.array([[[1.0]], [[0.0]]], np.float32)
    found = tally(probabilities, np.array([[1]], np.uint8))
    assert 20 < found.nll < 100
    assert found.brier == 2


def test_what_is_ignored_changes_nothing_even_without_numbers():
    probabilities, mask = picture()
    before = tally(probabilities, mask)
    probabilities[:, mask == IGNORE] = np.nan
    after = tally(probabilities, mask)
    for name in ("confusion", "reliability", "entropy"):
        assert (getattr(after, name) == getattr(before, name)).all()
    assert (after.nll, after.brier, after.ignored) == (before.nll, before.brier, before.ignored)


def test_an_image_without_labels_counts_nothing():
    probabilities, mask = picture()
    found = tally(probabilities, without_borders(np.full_like(mask, IGNORE), 2))
    assert not found.confusion.any()
    assert not found.entropy.any()
    assert (found.nll, found.brier, found.ignored) == (0, 0, mask.size)


def test_an_image_cut_in_two_adds_up():
    probabilities, mask = picture()
    whole, left, right = (tally(probabilities[..., cut], mask[..., cut]) for cut in (np.s_[:], np.s_[:13], np.s_[13:]))
    both = left + right
    assert (both.confusion == whole.confusion).all()
    assert (both.entropy == whole.entropy).all()
    assert both.ignored == whole.ignored
    np.testing.assert_allclose(both.reliability, whole.reliability)
    assert (both.nll, both.brier) == pytest.approx((whole.nll, whole.brier))


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_borders_are_a_disc_wide(radius):
    mask = np.zeros((13, 17), np.uint8)
    mask[2:9, 5:14] = 1
    mask[4:6, 7:9] = IGNORE
    mask[0, :3] = 2
    found = without_borders(mask, radius)
    ys, xs = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = [(y, x) for y, x in zip(ys.ravel(), xs.ravel(), strict=True) if y * y + x * x <= radius * radius]
    for y, x in np.ndindex(mask.shape):
        near = {
            int(mask[y + dy, x + dx]) for dy, dx in disc if 0 <= y + dy < mask.shape[0] and 0 <= x + dx < mask.shape[1]
        }
        alone = len(near - {IGNORE}) == 1 and mask[y, x] != IGNORE
        assert found[y, x] == (mask[y, x] if alone else IGNORE)


def test_no_border_is_no_erosion():
    probabilities, mask = picture()
    assert (without_borders(mask, 0) == mask).all()
    one_class = np.where(mask == IGNORE, mask, 3).astype(np.uint8)
    assert (without_borders(one_class, 5) == one_class).all()
    eroded = without_borders(mask, 1)
    assert tally(probabilities, eroded).ignored == (eroded == IGNORE).sum() > tally(probabilities, mask).ignored


@pytest.mark.parametrize("images", [0, 1, 3])
def test_tallies_come_back_from_their_tensors(images):
    tallies = [tally(*picture(seed)) for seed in range(images)]
    back = from_tensors(to_tensors(tallies, K))
    assert len(back) == images
    for one, other in zip(tallies, back, strict=True):
        for name in ("confusion", "reliability", "entropy"):
            expected, found = getattr(one, name), getattr(other, name)
            assert (found == expected).all()
            assert found.dtype == expected.dtype
        assert (one.nll, one.brier, one.ignored) == (other.nll, other.brier, other.ignored)
