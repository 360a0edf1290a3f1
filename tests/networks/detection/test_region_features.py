import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import roi_align

from convolve.networks.detection.region_features import PooledFeatures, nearest_level
from convolve.networks.layers.bilinear_upsampling import Lattice

CENTRES = st.integers(-16, 32).map(lambda halves: halves / 2)


def test_roi_pool_of_the_papers_code_by_hand():
    # Corners (10, 10, 100, 60) are the first and the last pixel there; ours are the edges.
    maps = torch.arange(64.0).reshape(1, 1, 8, 8)
    boxes = torch.tensor([[10.0, 10.0, 101.0, 61.0]])
    pooled = PooledFeatures([Lattice(16, 0.0)], pooling="roi_pool", bins=2)((maps,), (128, 128), [boxes])
    assert pooled.tolist() == [[[[19.0, 22.0], [35.0, 38.0]]]]


@pytest.mark.parametrize(("centre", "end"), [(0.0, 6.0), (1.5, 8.0), (3.0, 9.0)])
def test_roi_pool_ends_at_the_unit_nearest_to_the_last_pixel(centre, end):
    # Of stride 4: unit 1 is nearest to the box's last pixel, but unit 2 to the pixel after it.
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    boxes = torch.tensor([[0.0, 0.0, end, end]])
    pooled = PooledFeatures([Lattice(4, centre)], pooling="roi_pool", bins=1)((maps,), (16, 16), [boxes])
    assert pooled.item() == maps[0, 0, 1, 1]


@pytest.mark.parametrize("centre", [0.0, 7.5, 15.0])
def test_roi_pool_of_the_whole_map_is_adaptive_pooling(centre):
    maps = torch.randn(2, 3, 9, 11)
    ends = (centre, centre, centre + 16 * 10 + 1, centre + 16 * 8 + 1)
    boxes = torch.tensor([ends])
    pooled = PooledFeatures([Lattice(16, centre)], pooling="roi_pool")((maps,), (144, 176), [boxes, boxes])
    torch.testing.assert_close(pooled, F.adaptive_max_pool2d(maps, 7))


@given(st.sampled_from([4, 8, 16]), CENTRES, st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 1), st.floats(0.05, 1))
def test_roi_align_reads_each_bin_at_its_own_place(stride, centre, left, top, width, height):
    # The maps hold the coordinates of their units' centres, so that what is read is where it was read.
    low, high = centre + 0.5, centre + 0.5 + 15 * stride
    x0, y0 = (low + share * (high - low) * 0.9 for share in (left, top))
    x1, y1 = x0 + width * (high - x0), y0 + height * (high - y0)
    places = centre + 0.5 + stride * torch.arange(16, dtype=torch.float64)
    maps = torch.stack(torch.meshgrid(places, places, indexing="ij"))[None]
    boxes = torch.tensor([[x0, y0, x1, y1]], dtype=torch.float64)
    features = PooledFeatures([Lattice(stride, centre)], pooling="roi_align")
    ys, xs = features((maps,), (16 * stride, 16 * stride), [boxes])[0]
    middles = (torch.arange(7, dtype=torch.float64) + 0.5) / 7
    torch.testing.assert_close(xs, (x0 + middles * (x1 - x0)).expand(7, 7))
    torch.testing.assert_close(ys, (y0 + middles * (y1 - y0))[:, None].expand(7, 7))


def test_where_torchvision_takes_units_to_be_it_is_torchvisions():
    maps = torch.randn(2, 3, 10, 12)
    boxes = [torch.tensor([[3.0, 5.0, 60.0, 41.0]]), torch.tensor([[0.0, 0.0, 96.0, 80.0], [10.0, 20.0, 30.0, 33.0]])]
    ours = PooledFeatures([Lattice(8, 3.5)], pooling="roi_align")((maps,), (80, 96), boxes)
    torch.testing.assert_close(ours, roi_align(maps, boxes, 7, 1 / 8, 2, aligned=True))


def test_regions_go_to_the_map_on_which_they_have_about_14_units():
    sides = torch.tensor([1.0, 14 * 8, 14 * 8 * 1.4, 14 * 8 * 1.43, 14 * 16, 14 * 32, 5000.0])
    boxes = torch.stack((sides * 0, sides * 0, sides * 2, sides / 2), dim=1)
    assert nearest_level(boxes, (8, 16, 32)).tolist() == [0, 0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("pooling", ["roi_pool", "roi_align"])
def test_regions_of_all_images_and_maps_keep_their_order(pooling):
    torch.manual_seed(0)
    lattices = [Lattice(4, 0.0), Lattice(8, 0.0), Lattice(16, 0.0)]
    maps = tuple(torch.randn(3, 2, 256 // one.stride, 256 // one.stride, requires_grad=True) for one in lattices)
    corners = torch.rand(40, 2) * 50
    boxes = torch.cat((corners, corners + 200 * torch.rand(40, 1) * (0.9 + torch.rand(40, 2) / 10)), dim=1)
    of_images = [boxes[:25], boxes[:0], boxes[25:]]
    features = PooledFeatures(lattices, pooling=pooling)
    together = features(maps, (256, 256), of_images)
    alone = []
    for number, some in enumerate(of_images):
        for box in some:
            level = nearest_level(box[None], (4, 8, 16)).item()
            one = PooledFeatures(lattices[level : level + 1], pooling=pooling)
            alone.append(one((maps[level][number : number + 1],), (256, 256), [box[None]]))
    assert len(set(nearest_level(boxes, (4, 8, 16)).tolist())) == 3
    torch.testing.assert_close(together, torch.cat(alone))
    together.sum().backward()
    assert all(level.grad[1].abs().sum() == 0 and level.grad[0].abs().sum() > 0 for level in maps)


@pytest.mark.parametrize("pooling", ["roi_pool", "roi_align"])
def test_no_region_at_all_gives_no_features(pooling):
    features = PooledFeatures([Lattice(4, 0.0), Lattice(8, 0.0)], pooling=pooling)
    nothing = [torch.zeros(0, 4), torch.zeros(0, 4)]
    assert features((torch.randn(2, 3, 8, 8), torch.randn(2, 3, 4, 4)), (32, 32), nothing).shape == (0, 3, 7, 7)
