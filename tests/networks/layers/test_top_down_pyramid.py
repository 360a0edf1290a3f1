import pytest
import torch
from torchvision.ops import FeaturePyramidNetwork

from convolve.networks.architectures.residual import residual
from convolve.networks.detection.shared_maps import shared_maps
from convolve.networks.layers.bilinear_upsampling import Lattice
from convolve.networks.layers.top_down_pyramid import TopDownPyramid, top_down_reach

LATTICES = (Lattice(4, 0.0), Lattice(8, 0.0), Lattice(16, 0.0))


def test_even_maps_give_what_torchvisions_pyramid_gives():
    # Where maps are the same everywhere, its nearest units and ours, interpolated, are equal.
    torch.manual_seed(0)
    ours = TopDownPyramid((3, 5, 7), LATTICES, width=6)
    theirs = FeaturePyramidNetwork([3, 5, 7], 6)
    for level in range(3):
        theirs.inner_blocks[level][0].load_state_dict(ours.laterals[level].state_dict())
        theirs.layer_blocks[level][0].load_state_dict(ours.smoothings[level].state_dict())
    maps = [
        torch.randn(2, count, 1, 1).expand(-1, -1, 32 // 2**level, 24 // 2**level)
        for level, count in enumerate((3, 5, 7))
    ]
    expected = theirs({str(level): one for level, one in enumerate(maps)})
    for ours_of_level, theirs_of_level in zip(ours(maps), expected.values(), strict=True):
        torch.testing.assert_close(ours_of_level, theirs_of_level)


@pytest.mark.parametrize("centre_of", [lambda s: 0.0, lambda s: (s - 1) / 2, lambda s: s - 1.0])
def test_coarse_maps_are_laid_where_their_units_are(centre_of):
    fine, coarse = (Lattice(stride, centre_of(stride)) for stride in (8, 16))
    pyramid = TopDownPyramid((1, 1), (fine, coarse), width=1)
    for layer in (*pyramid.laterals, *pyramid.smoothings):
        torch.nn.init.dirac_(layer.weight)
    places = [(one.centre + one.stride * torch.arange(size)) for one, size in ((fine, 12), (coarse, 6))]
    coordinates = places[1].expand(1, 1, 6, 6)
    laid, _ = pyramid((torch.zeros(1, 1, 12, 12), coordinates))
    inner = slice(2, 10)
    torch.testing.assert_close(laid[0, 0, 5, inner], places[0][inner])


@pytest.mark.parametrize("row", [0, 66, 127])
def test_no_pixel_beyond_the_reach_is_seen(row):
    torch.manual_seed(0)
    network = residual(3, channels=3, image_hw=(32, 32), depth=8, width=8)
    maps = shared_maps(network, channels=3, image_hw=(32, 32), pyramid=True, width=8, finest=1).double().eval()
    image = torch.randn(1, 3, 128, 16, dtype=torch.float64, requires_grad=True)
    maps(image)[0][:, :, row].sum().backward()
    seen = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    farthest = max(row - seen.min().item(), seen.max().item() - row)
    assert farthest <= maps.reach
    if row == 66:
        assert farthest > 0.4 * maps.reach


def test_there_is_no_bound_if_one_map_has_none():
    assert top_down_reach((10, None, 40), (4, 8, 16), (4, 8, 16)) is None
    # 40 + 16 at the middle map, + 8 at the finest, + its own unit.
    assert top_down_reach((10, 20, 40), (4, 8, 16), (4, 8, 16)) == 40 + 16 + 8 + 4
