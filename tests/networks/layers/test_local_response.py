import numpy as np
import pytest
import torch

from convolve.networks.layers.local_response import LocalResponseNorm


def by_definition(maps, *, n, k, alpha, beta):
    """The paper's formula, one number at a time."""
    count, channels, height, width = maps.shape
    result = np.empty_like(maps)
    for image, channel, row, column in np.ndindex(count, channels, height, width):
        total = 0.0
        for other in range(max(0, channel - n // 2), min(channels - 1, channel + n // 2) + 1):
            total += maps[image, other, row, column] ** 2
        result[image, channel, row, column] = maps[image, channel, row, column] / (k + alpha * total) ** beta
    return result


@pytest.mark.parametrize(("n", "channels"), [(5, 8), (5, 3), (3, 4)])
def test_it_is_the_papers_formula(n, channels):
    maps = np.random.default_rng(0).normal(scale=30, size=(2, channels, 2, 3))
    found = LocalResponseNorm(n)(torch.from_numpy(maps)).numpy()
    np.testing.assert_allclose(found, by_definition(maps, n=n, k=2, alpha=1e-4, beta=0.75), rtol=1e-12)


def test_torch_takes_alpha_times_the_window():
    maps = 50 * torch.randn(2, 7, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torchs = torch.nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)
    torch.testing.assert_close(LocalResponseNorm()(maps), torchs(maps))


def test_its_gradient_is_that_of_finite_differences():
    maps = torch.randn(1, 6, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LocalResponseNorm(alpha=0.1), maps)
