import numpy as np
import pytest
import torch
from scipy import stats

from convolve.data.augment.transforms.mixup import Mixup
from convolve.data.batch import Batch
from convolve.randomness import uniforms


def mixed(alpha: float, count: int) -> tuple[Batch, Batch]:
    images = torch.rand(count, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    batch = Batch(images, torch.arange(count), np.arange(count))
    return batch, Mixup(alpha=alpha).mix(batch, uniforms(0, rows=batch.rows, count=1))


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 8.0])
def test_weights_follow_the_beta_distribution(alpha: float) -> None:
    _, after = mixed(alpha, 5000)
    assert after.blend is not None
    # In float32 a weight of 1 - 1e-12 is 1, which has a probability of its own: compare where it has none.
    weights = after.blend.weight.double().numpy()
    for point in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        assert (weights <= point).mean() == pytest.approx(stats.beta.cdf(point, alpha, alpha), abs=0.03)


def test_images_are_the_weighted_means_the_blend_tells_of() -> None:
    before, after = mixed(0.5, 7)
    assert after.blend is not None
    for position in range(7):
        weight, partner = after.blend.weight[position], after.blend.partner[position]
        expected = weight * before.images[position] + (1 - weight) * before.images[partner]
        assert torch.allclose(after.images[position], expected, atol=1e-6)


def test_everyone_is_somebody_elses_partner_once() -> None:
    _, after = mixed(0.5, 7)
    assert after.blend is not None
    assert after.blend.partner.dtype == torch.int64
    assert sorted(after.blend.partner.tolist()) == list(range(7))
    assert not (after.blend.partner == torch.arange(7)).any()


def test_targets_and_rows_stay() -> None:
    before, after = mixed(0.5, 3)
    assert torch.equal(after.targets, before.targets)
    assert np.array_equal(after.rows, before.rows)


def test_a_single_image_is_mixed_with_itself() -> None:
    before, after = mixed(0.5, 1)
    assert torch.allclose(after.images, before.images)
