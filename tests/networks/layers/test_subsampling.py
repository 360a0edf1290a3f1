import numpy as np
import torch
from skimage.measure import block_reduce

from convolve.networks.layers.subsampling import TrainableSubsampling


def test_it_is_a_scaled_and_shifted_sum_of_blocks():
    layer = TrainableSubsampling(2)
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor([0.5, -2.0]))
        layer.bias.copy_(torch.tensor([1.0, 3.0]))
    maps = np.random.default_rng(0).normal(size=(3, 2, 6, 8)).astype(np.float32)
    sums = block_reduce(maps, (1, 1, 2, 2), np.sum)
    expected = np.stack([0.5 * sums[:, 0] + 1, -2 * sums[:, 1] + 3], axis=1)
    np.testing.assert_allclose(layer(torch.from_numpy(maps)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
