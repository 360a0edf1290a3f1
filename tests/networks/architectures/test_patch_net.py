import pytest
import torch

from convolve.networks.architectures.patch_net import patch_net
from convolve.networks.cost import cost_of
from convolve.networks.dilation import make_dense


def plain(channels=3, side=65, outputs=6):
    return patch_net(outputs, channels=channels, image_hw=(side, side), batch_norm=False).eval()


def test_its_cost_on_five_bands_is_that_of_the_lecturers_patches():
    cost = cost_of(plain(channels=5), channels=5, image_hw=(65, 65))
    # Output places of each layer times its weights, by hand: 61^2, 26^2, 11^2 and 3^2 places, then 1.
    layers = [61**2 * 4_000, 26**2 * 51_200, 11**2 * 55_296, 3**2 * 110_592, 3 * 3 * 128 * 128, 128 * 6]
    assert cost.multiply_adds == sum(layers)
    assert cost.multiply_adds / 1e6 == pytest.approx(57.3, abs=0.05)


def test_a_dense_map_of_512_pixels_costs_155_times_less_than_its_patches():
    network = plain(channels=5)
    form = make_dense(network, channels=5, patch_hw=(65, 65))
    # Each layer's weights once a pixel: an image so large that its margin does not count.
    per_pixel = sum(weight.numel() for name, weight in network.named_parameters() if name.endswith("weight"))
    assert per_pixel * 512**2 / 1e12 == pytest.approx(0.0968, abs=0.00005)
    assert 57.3e6 / per_pixel == pytest.approx(155, abs=0.5)
    # With the margin of one image.
    counted = cost_of(form.layers, channels=5, image_hw=(512 + 59, 512 + 59)).multiply_adds
    assert per_pixel * 512**2 < counted < 1.1 * per_pixel * 512**2


@pytest.mark.parametrize(("side", "sees", "stride"), [(33, 32, 4), (65, 60, 8), (60, 60, 8), (48, 48, 4), (96, 92, 8)])
def test_it_sees_what_pooling_leaves_of_the_patch(side, sees, stride):
    place = make_dense(plain(side=side), channels=3, patch_hw=(side, side)).place
    assert place.after == (sees - 1, sees - 1)
    assert place.before == (0, 0)
    assert place.jump == (stride, stride)
    assert not place.padded


def test_pixels_beyond_what_it_sees_change_nothing():
    network = plain()
    patch = torch.randn(1, 3, 65, 65)
    other = patch.clone()
    other[:, :, 60:] = 9.0
    other[:, :, :, 60:] = 9.0
    with torch.no_grad():
        assert torch.equal(network(patch), network(other))
        other[:, :, 59] = 9.0
        assert not torch.equal(network(patch), network(other))
