"""Section 21's check of the colour components, and that copies are copies."""

import numpy as np
import pytest
import torch

from convolve.see.tour.topics.augmentation import copies, imagenet_covariance, photograph
from see.tour.topics.sections import section_of


def test_covariance_of_the_components():
    expected = [[0.0805, 0.0702, 0.0634], [0.0702, 0.0764, 0.0722], [0.0634, 0.0722, 0.0839]]
    np.testing.assert_allclose(imagenet_covariance(), expected, atol=5e-5)
    numbers = section_of("augmentation").numbers
    np.testing.assert_allclose(numbers["covariance from ImageNet's components"], expected, atol=1e-4)
    assert numbers["orthonormal within"] < 1e-3
    # About 0.0125 in each channel, which is why it can hardly be seen.
    np.testing.assert_allclose(numbers["standard deviation of the paper's jitter, R G B"], 0.0125, atol=5e-4)


def test_flipped_copies_are_the_photograph_or_its_mirror_image():
    image = photograph()
    flipped = copies(image, {"flip_horizontal": True}, seed=0)
    for copy in flipped:
        nearest = min(float((copy - other).abs().max()) for other in (image, image.flip(2)))
        assert nearest < 1e-5


@pytest.mark.parametrize("spec", [{"rotate": 30.0}, {"crop": {"area": 0.3}}, {"pca_colour": 1.0}, {"noise": 0.1}])
def test_copies_differ_repeat_and_stay_in_range(spec):
    image = photograph()
    first, again, other = (copies(image, spec, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert all(not torch.equal(copy, image) for copy in first)


def test_one_colour_is_added_along_the_components():
    grey = torch.full((3, 8, 8), 0.5)
    added = copies(grey, {"pca_colour": 0.5}, seed=3) - grey[None]
    assert torch.equal(added, added[:, :, :1, :1].expand_as(added))
    first = torch.tensor([-0.5675, -0.5808, -0.5836])
    # The first component carries over 90 % of the variance, so what is added is nearly along it.
    along = (added[:, :, 0, 0] @ first).abs() / added[:, :, 0, 0].norm(dim=1)
    assert float(along.median()) > 0.9
