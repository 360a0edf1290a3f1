import numpy as np
import pytest
import torch
from scipy import stats

from convolve.data.augment.transforms.noise import Noise
from convolve.randomness import uniforms


def test_noise_is_normal_and_independent_of_pixel_channel_and_image() -> None:
    grey = torch.full((8, 3, 40, 40), 0.5)
    noise = (Noise(std=0.05).apply(grey, uniforms(0, rows=np.arange(8), count=1)) - 0.5).double().numpy()
    assert stats.kstest(noise.flatten() / 0.05, "norm").pvalue > 1e-3
    for first, second in [
        (noise[1:], noise[:-1]),
        (noise[:, 1:], noise[:, :-1]),
        (noise[..., 1:], noise[..., :-1]),
        (noise[..., 1:, :], noise[..., :-1, :]),
    ]:
        assert np.corrcoef(first.flatten(), second.flatten())[0, 1] == pytest.approx(0, abs=0.03)
