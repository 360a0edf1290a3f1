"""Colour augmentations of images with another number of bands than grey and RGB."""

import numpy as np
import pytest
import torch

from convolve.data.augment.transforms.contrast import Contrast
from convolve.data.augment.transforms.hue import Hue
from convolve.data.augment.transforms.pca_colour import PcaColour
from convolve.data.augment.transforms.saturation import Saturation

BANDS = (2, 4, 5, 6)


def _images(bands):
    return torch.rand(3, bands, 4, 5, generator=torch.Generator().manual_seed(bands))


@pytest.mark.parametrize("bands", BANDS)
@pytest.mark.parametrize("transform", [Hue(), PcaColour(), Saturation()], ids=lambda one: type(one).__name__)
def test_what_is_about_colour_leaves_bands_as_they_are(transform, bands):
    images = _images(bands)
    torch.testing.assert_close(transform.apply(images, np.full((3, 3), 0.9)), images, rtol=0, atol=0)


@pytest.mark.parametrize("bands", BANDS)
def test_contrast_moves_bands_away_from_the_mean_of_all(bands):
    images = 0.4 + 0.2 * _images(bands)
    moved = Contrast(strength=0.5).apply(images, np.ones((3, 1)))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(moved, mean + 1.5 * (images - mean))
