import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convolve.deploy.segmentation.tiles import blend_tiles, plan_tiles

sides = st.integers(1, 400)
strides = st.integers(1, 9)
scales = st.sampled_from([0.25, 0.5, 0.7, 1.0, 1.5, 2.0])


@given(
    h=sides, w=sides, side=st.integers(1, 150), reach=st.none() | st.integers(0, 80), stride=st.integers(1, 9), s=scales
)
@settings(max_examples=150, deadline=None)
def test_weights_sum_to_one_at_every_pixel(h, w, side, reach, stride, s):
    plan = plan_tiles((h, w), side=side, reach=reach, stride=stride, scale=s)
    assert plan.hw == (h, w)
    for spans, length in ((plan.rows, h), (plan.columns, w)):
        total = np.zeros(length)
        for span in spans:
            assert (span.weights >= 0).all()
            total[span.start : span.stop] += span.weights
        np.testing.assert_allclose(total, 1, atol=1e-6)


@given(length=st.integers(1, 2000), side=st.integers(1, 300), reach=st.integers(0, 60), stride=st.integers(1, 33))
@settings(max_examples=150, deadline=None)
def test_an_exact_plan_counts_no_pixel_whose_reach_leaves_its_tile(length, side, reach, stride):
    plan = plan_tiles((length, 1), side=side, reach=reach, stride=stride)
    for span in plan.rows:
        assert span.start % stride == 0
        if not plan.exact:
            continue
        counted = np.flatnonzero(span.weights) + span.start
        assert span.start == 0 or counted[0] - span.start >= reach
        assert span.stop == length or span.stop - 1 - counted[-1] >= reach


def test_tiles_are_of_one_size_but_for_the_last():
    plan = plan_tiles((1000, 1000), side=256, reach=20, stride=32)
    assert plan.exact
    # 256 - 2 x 20 = 216, of which 192 are whole strides.
    assert [(span.start, span.stop) for span in plan.rows] == [
        (0, 256),
        (192, 448),
        (384, 640),
        (576, 832),
        (768, 1000),
    ]


def test_a_reach_beyond_a_sixth_of_the_side_is_cut_and_blended_without_steps():
    plan = plan_tiles((1000, 1), side=240, reach=41, stride=1)
    assert not plan.exact
    assert plan_tiles((1000, 1), side=240, reach=40, stride=1).exact
    steps = np.abs(np.diff(plan.rows[1].weights))
    assert steps.max() < 2 / 30  # the ramp is 30 pixels, a raised cosine at most pi / 2 times as steep as a line


def test_no_bound_to_the_reach_is_exact_only_as_a_whole():
    assert plan_tiles((200, 256), side=256, reach=None, stride=32).exact
    assert not plan_tiles((200, 257), side=256, reach=None, stride=32).exact


@pytest.mark.parametrize(("scale", "starts"), [(0.5, 64), (2.0, 16), (1.5, 64), (0.75, 128)])
def test_scaled_tiles_begin_at_whole_strides_of_the_network(scale, starts):
    plan = plan_tiles((4000, 1), side=1024, reach=10, stride=32, scale=scale)
    assert plan.exact
    assert len(plan.rows) > 1
    assert all(span.start % starts == 0 and span.start * scale % 32 == 0 for span in plan.rows)


@given(h=st.integers(1, 200), w=st.integers(1, 200), side=st.integers(8, 90), reach=st.none() | st.integers(0, 10))
@settings(max_examples=60, deadline=None)
def test_tiles_cut_from_a_map_blend_to_that_map(h, w, side, reach):
    whole = torch.from_numpy(np.random.default_rng(h * 1000 + w).random((2, h, w), np.float32))
    plan = plan_tiles((h, w), side=side, reach=reach, stride=4)
    strips = blend_tiles(
        plan,
        lambda tile: whole[:, tile.top : tile.top + tile.height, tile.left : tile.left + tile.width],
        rows_at_once=7,
    )
    top, parts = 0, []
    for start, strip in strips:
        assert start == top
        assert 0 < strip.shape[1] <= 7
        top += strip.shape[1]
        parts.append(strip.clone())
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-6, rtol=0)
