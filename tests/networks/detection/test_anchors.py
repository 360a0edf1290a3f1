import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from convolve.networks.detection.anchors import base_anchors, place_anchors, sizes_of_levels
from convolve.networks.layers.bilinear_upsampling import Lattice

# Ren et al.'s py-faster-rcnn, at the first cell: corner pixels, both inclusive; ratio by ratio, three sizes each.
REFERENCE = [
    (-84, -40, 99, 55),
    (-176, -88, 191, 103),
    (-360, -184, 375, 199),
    (-56, -56, 71, 71),
    (-120, -120, 135, 135),
    (-248, -248, 263, 263),
    (-36, -80, 51, 95),
    (-80, -168, 95, 183),
    (-168, -344, 183, 359),
]


def test_the_papers_nine_anchors_within_their_rounding():
    ratios, scales = (0.5, 1.0, 2.0), (8, 16, 32)
    placed = place_anchors(base_anchors([16 * scale for scale in scales], ratios), Lattice(16, 7.5), (1, 1))
    ours = placed.reshape(3, 3, 4).transpose(0, 1).reshape(9, 4)
    theirs = torch.tensor(REFERENCE, dtype=torch.float32) + torch.tensor([0, 0, 1, 1])
    torch.testing.assert_close(ours[:, :2] + ours[:, 2:], theirs[:, :2] + theirs[:, 2:])
    # They round the width at stride 16, and then the height that belongs to the rounded width.
    for row, (ratio, scale) in enumerate((ratio, scale) for ratio in ratios for scale in scales):
        off_width, off_height = ((ours[row, 2:] - ours[row, :2]) - (theirs[row, 2:] - theirs[row, :2])).abs().tolist()
        assert off_width <= 0.5 * scale
        assert off_height <= (0.5 + 0.5 * ratio) * scale


@given(
    st.lists(st.floats(4, 1000), min_size=1, max_size=4),
    st.lists(st.floats(0.1, 10), min_size=1, max_size=4),
)
def test_areas_and_ratios_are_as_asked_around_the_origin(sizes, ratios):
    boxes = base_anchors(sizes, ratios).double()
    assert len(boxes) == len(sizes) * len(ratios)
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).unbind(dim=1)
    wanted = [(size, ratio) for size in sizes for ratio in ratios]
    torch.testing.assert_close(
        (widths * heights).sqrt(), torch.tensor([size for size, _ in wanted], dtype=torch.float64)
    )
    # Each side is rounded once, by half of float32's epsilon at most; so their ratio may be off by all of it.
    epsilon = torch.finfo(torch.float32).eps * 1.001
    ratio = torch.tensor([ratio for _, ratio in wanted], dtype=torch.float64)
    torch.testing.assert_close(heights / widths, ratio, rtol=epsilon, atol=0)
    torch.testing.assert_close(boxes[:, :2], -boxes[:, 2:], rtol=0, atol=0)


def test_shapes_are_torchvisions_within_its_rounding():
    theirs = AnchorGenerator().generate_anchors([32.0, 64.0], [0.5, 1.0, 2.0]).reshape(3, 2, 4).transpose(0, 1)
    ours = base_anchors([32.0, 64.0], [0.5, 1.0, 2.0]).reshape(2, 3, 4)
    assert (ours - theirs).abs().max() <= 0.5


@pytest.mark.parametrize("hw", [(1, 1), (3, 5), (4, 2)])
def test_places_are_in_torchvisions_order(hw):
    stride = 8
    generator = AnchorGenerator(((16.0, 32.0),), ((0.5, 2.0),))
    images = ImageList(torch.zeros(1, 3, stride * hw[0], stride * hw[1]), [(stride * hw[0], stride * hw[1])])
    (theirs,) = generator(images, [torch.zeros(1, 1, *hw)])
    # Its first unit lies on the image's corner; rounded as it rounds.
    base = generator.generate_anchors((16.0, 32.0), (0.5, 2.0))
    ours = place_anchors(base, Lattice(stride, -0.5), hw)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_unit_on_a_pixel_is_in_its_middle():
    (placed,) = place_anchors(torch.tensor([[-1.0, -2.0, 1.0, 2.0]]), Lattice(4, 3.0), (1, 1))
    assert placed.tolist() == [2.5, 1.5, 4.5, 5.5]


@given(st.lists(st.floats(1, 2000), min_size=1, max_size=9))
def test_each_size_is_on_the_map_whose_eight_strides_are_nearest(sizes):
    strides = [4, 8, 16, 32]
    levels = sizes_of_levels(sizes, strides)
    assert sorted(size for level in levels for size in level) == sorted(sizes)
    for level, stride in zip(levels, strides, strict=True):
        for size in level:
            nearest = min(abs(math.log2(size / (8 * other))) for other in strides)
            assert abs(math.log2(size / (8 * stride))) == pytest.approx(nearest, abs=1e-9)


def test_the_sizes_of_feature_pyramid_networks_go_where_their_paper_puts_them():
    assert sizes_of_levels([512, 32, 128, 64, 256], [4, 8, 16, 32, 64]) == [[32], [64], [128], [256], [512]]
