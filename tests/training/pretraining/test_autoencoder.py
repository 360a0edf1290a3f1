import numpy as np
import pytest
import torch

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.batch import Batch
from convolve.training.pretraining.autoencoder import AutoEncoder, decoder


def batch(count=64):
    images = torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    return Batch(images, torch.zeros(count), np.arange(count))


def test_squares_of_the_first_view_are_hidden_and_the_second_is_clean():
    plain = batch()
    views = AutoEncoder(hidden=0.25).views(plain, build_augmentation({}, fill=(0,)), seed=0, epoch=0)
    corrupted, clean = views.chunk(2, dim=1)
    assert torch.equal(clean, plain.images)
    hidden = corrupted == 0
    assert torch.equal(corrupted[~hidden], clean[~hidden])
    squares = hidden.view(64, 8, 2, 8, 2).float().mean(dim=(2, 4))
    assert set(squares.unique().tolist()) == {0.0, 1.0}
    assert float(hidden.float().mean()) == pytest.approx(0.25, abs=0.03)


def test_the_figures_are_the_mean_square_and_what_it_leaves_of_the_variance():
    clean = batch().images
    perfect, mean = torch.stack([clean, clean], 1), torch.stack([clean.mean(0).expand_as(clean), clean], 1)
    method = AutoEncoder()
    assert method.evaluate(perfect, torch.zeros(64)) == {"loss": 0.0, "explained": 1.0}
    assert method.evaluate(mean, torch.zeros(64))["explained"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("image_hw", [(8, 8), (28, 28), (33, 50)])
def test_the_decoder_gives_images_of_the_size(image_hw):
    assert decoder(20, channels=3, image_hw=image_hw)(torch.rand(2, 20)).shape == (2, 3, *image_hw)
