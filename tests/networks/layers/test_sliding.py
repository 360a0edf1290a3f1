import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convolve.networks.layers.sliding import SlidingDropout, SlidingLinear, SlidingMaximum, SlidingMean, Window


@pytest.mark.parametrize("kernel", [(2, 2), (3, 2), (1, 4)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 0)])
def test_a_dilated_maximum_is_torchs(kernel, dilation, padding):
    if any(2 * amount > size for amount, size in zip(padding, kernel, strict=True)):
        pytest.skip("torch pads by half a kernel at most")
    maps = torch.randn(2, 3, 14, 13)
    expected = F.max_pool2d(maps, kernel, 1, padding, dilation)
    assert torch.equal(SlidingMaximum(Window(kernel, (1, 1), padding, dilation))(maps), expected)


@pytest.mark.parametrize(("stride", "padding"), [((1, 1), (0, 0)), ((2, 3), (1, 1))])
def test_a_mean_is_torchs(stride, padding):
    maps = torch.randn(2, 3, 14, 13, dtype=torch.float64)
    found = SlidingMean(Window((2, 3), stride, padding))(maps)
    torch.testing.assert_close(found, F.avg_pool2d(maps, (2, 3), stride, padding), rtol=0, atol=1e-12)


def test_a_dilated_mean_is_of_units_that_far_apart():
    maps = torch.randn(1, 2, 9, 8, dtype=torch.float64)
    found = SlidingMean(Window((3, 2), dilation=(2, 5)))(maps)
    assert found.shape == (1, 2, 5, 3)
    torch.testing.assert_close(found[0, :, 1, 2], maps[0, :, 1:6:2, [2, 7]].mean((1, 2)), rtol=0, atol=1e-12)


# The table of equal pairs: 1e-6 in float32, 1e-12 in float64.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_on_a_map_of_its_own_size_it_is_the_fully_connected_layer(dtype, tolerance):
    layer = nn.Linear(5 * 3 * 4, 7, dtype=dtype)
    maps = torch.randn(2, 5, 3, 4, dtype=dtype)
    found = SlidingLinear(layer, Window((3, 4)))(maps)
    torch.testing.assert_close(found[:, :, 0, 0], layer(maps.flatten(1)), rtol=0, atol=tolerance)


def test_what_dropout_gets_can_be_drawn_from_again():
    maps = torch.ones(1, 4, 8, 8)
    layer = SlidingDropout(nn.Dropout(0.5, inplace=True).train())
    first, second = layer(maps), layer(maps)
    assert torch.equal(maps, torch.ones_like(maps))
    assert not torch.equal(first, second)
