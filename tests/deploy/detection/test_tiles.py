import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convolve.deploy.detection.tiles import plan_tiles


@settings(deadline=None, max_examples=50)
@given(
    hw=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    side=st.integers(60, 300),
    overlap=st.integers(0, 300),
    step=st.sampled_from([8, 32, 64]),
)
def test_every_pixel_has_one_tile_that_answers_and_sees_far_around_it(hw, side, overlap, step):
    tiles = plan_tiles(hw, side=side, overlap=overlap, step=step)
    y, x = np.mgrid[: hw[0] : 7, : hw[1] : 7].reshape(2, -1)
    points = torch.from_numpy(np.stack((x, y, x + 1, y + 1), axis=1)).float()
    answering = torch.stack([tile.answers_for(points) for tile in tiles])
    assert (answering.sum(dim=0) == 1).all()
    cut = max(side // step, 2) * step
    margin = min(overlap, cut // 2) // 2
    for tile in tiles:
        assert tile.top % step == tile.left % step == 0
        assert tile.bottom - tile.top <= max(side, cut)
        assert tile.right - tile.left <= max(side, cut)
        ends = (tile.left, tile.top, tile.right, tile.bottom)
        for place, (end, core) in enumerate(zip(ends, tile.core, strict=True)):
            at_the_edge = end == (0, 0, hw[1], hw[0])[place]
            assert core == end if at_the_edge else abs(core - end) >= margin


def test_an_image_no_larger_than_a_tile_is_one():
    (tile,) = plan_tiles((512, 300), side=512, overlap=100, step=32)
    assert (tile.top, tile.left, tile.bottom, tile.right) == (0, 0, 512, 300)
    assert tile.core == (0, 0, 300, 512)


def test_tiles_of_a_worked_example():
    tiles = plan_tiles((600, 1000), side=512, overlap=128, step=32)
    assert sorted({(tile.left, tile.right) for tile in tiles}) == [(0, 512), (384, 896), (512, 1000)]
    assert sorted({(tile.top, tile.bottom) for tile in tiles}) == [(0, 512), (96, 600)]
    assert [tile.core[0::2] for tile in tiles[:3]] == [(0, 448), (448, 704), (704, 1000)]


def test_a_box_whole_in_two_tiles_counts_in_one():
    tiles = plan_tiles((300, 2000), side=512, overlap=200, step=32)
    box = torch.tensor([[330.0, 10.0, 500.0, 90.0]])
    whole = [tile for tile in tiles if tile.left <= 330 and tile.right >= 500]
    assert len(whole) == 2
    assert sum(bool(tile.answers_for(box)) for tile in tiles) == 1
    assert all(a.core[2] == b.core[0] for a, b in itertools.pairwise(tiles))


@pytest.mark.parametrize("overlap", [10_000, 256])
def test_neighbours_share_at_most_half_a_tile(overlap):
    tiles = plan_tiles((100, 5000), side=512, overlap=overlap, step=32)
    assert all(b.left - a.left == 256 for a, b in itertools.pairwise(tiles[:-1]))


@pytest.mark.parametrize(("hw", "side", "step"), [((375, 500), 500, 32), ((672, 504), 672, 64)])
def test_an_image_as_large_as_the_tile_is_not_cut(hw: tuple[int, int], side: int, step: int) -> None:
    (tile,) = plan_tiles(hw, side=side, overlap=200, step=step)
    assert (tile.top, tile.left, tile.bottom, tile.right) == (0, 0, *hw)
