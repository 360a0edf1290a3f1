import numpy as np
import torch
from scipy.signal import correlate2d

from convolve.networks.layers.table_convolution import TableConvolution

TABLE = ((0,), (0, 2), (1, 2))


def test_each_output_map_is_the_sum_of_its_own_correlations():
    layer = TableConvolution(3, TABLE, kernel=3).double()
    torch.nn.init.normal_(layer.bias)
    maps = np.random.default_rng(0).normal(size=(1, 3, 6, 7))
    output = layer(torch.from_numpy(maps)).detach().numpy()[0]
    kernels = iter(layer.weight.detach().numpy())
    for index, seen in enumerate(TABLE):
        expected = layer.bias[index].item() + sum(correlate2d(maps[0, map_], next(kernels), "valid") for map_ in seen)
        np.testing.assert_allclose(output[index], expected)


def test_absent_links_have_no_weight():
    dense = TableConvolution(3, TABLE, kernel=3).dense_weight()
    present = [(output, index) for output, seen in enumerate(TABLE) for index in seen]
    for output in range(3):
        for index in range(3):
            assert dense[output, index].any() == ((output, index) in present)
