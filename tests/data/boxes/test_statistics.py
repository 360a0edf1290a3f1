from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convolve.data.boxes.statistics import (
    QUANTILES,
    box_counts,
    box_statistics,
    boxes_per_image,
    choose_side,
    object_sides,
)
from convolve.data.dataset import Box, Boxes, Sample
from data.boxes.blood import blood, needs_blood

NO_IMAGE = np.zeros((1, 1), np.uint8)


def sample(hw: tuple[int, int], *sides: tuple[float, float], kind: Any = "object", index: int = 0) -> Sample:
    """An image with boxes of these widths and heights."""
    return Sample("", NO_IMAGE, Boxes(hw, tuple(Box(index, (0.0, 0.0, w, h), kind) for w, h in sides)))


def test_boxes_are_counted_whatever_their_kind() -> None:
    samples = [
        sample((9, 9), (1, 1), (2, 2), index=2),
        sample((9, 9)),
        sample((9, 9), (1, 1), kind="difficult"),
        sample((9, 9), (3, 3), kind="crowd", index=2),
    ]
    assert box_counts(samples, 4).tolist() == [1, 0, 3, 0]
    assert boxes_per_image(samples).tolist() == [2, 0, 1, 1]
    # But only ordinary objects tell how large objects are.
    assert object_sides(samples).tolist() == [[1, 1], [2, 2]]
    assert box_counts([], 2).tolist() == [0, 0]
    assert object_sides([]).shape == (0, 2)


def test_sizes_are_those_at_the_input() -> None:
    # Shrunk to a half, and enlarged to twice the size.
    samples = [sample((640, 1280), (64, 62)), sample((320, 200), (48, 48), (16, 16), (10, 40))]
    assert object_sides(samples, 640).tolist() == [[32, 31], [96, 96], [32, 32], [20, 80]]
    found = box_statistics(samples, 640)
    assert (found.objects, found.small, found.medium, found.large) == (4, 1, 2, 1)
    middle = QUANTILES.index(0.5)
    assert found.width[middle] == 32
    assert found.height[middle] == 56
    assert found.size[middle] == pytest.approx((32 + 40) / 2)
    assert found.ratio[middle] == 1
    nothing = box_statistics([sample((9, 9))], 640)
    assert (nothing.objects, nothing.size) == (0, ())


@pytest.mark.parametrize(
    ("hw", "object_side", "side", "words"),
    [
        ((480, 640), 50, 640, "640 pixels, at which nine in ten objects are at least 50 pixels large"),
        ((1200, 1600), 50, 640, "at least 20 pixels"),
        # At 640 an object would have 8 pixels.
        ((1200, 1600), 20, 1280, "at 640 pixels one in ten objects would be under 8 pixels large; at 1280 that is 16"),
        # 12.8 pixels at 640, so 800, which is a multiple of 32.
        ((3000, 4000), 80, 800, "at 800 that is 16"),
        # 15 pixels at 640: 683 would do, 704 is the next multiple of 32.
        ((1280, 1280), 30, 704, "at 704 that is 16"),
        # Even the images themselves do not have so many pixels.
        ((900, 1000), 10, 992, "at 992 that is 10, and images have no more"),
        ((480, 640), 8, 640, "but images have no more"),
        # Small images are enlarged to twice their size, and no more.
        ((100, 100), 10, 192, "twice the 100 pixels"),
        ((10, 10), 4, 32, "twice the 10 pixels"),
    ],
)
def test_the_input_is_as_large_as_objects_need(hw: tuple[int, int], object_side: float, side: int, words: str) -> None:
    chosen, reason = choose_side([sample(hw, (object_side, object_side))] * 5)
    assert chosen == side
    assert words in reason


def test_without_objects_the_input_is_the_usual_one() -> None:
    side, reason = choose_side([sample((2000, 3000))])
    assert side == 640
    assert "no objects" in reason
    with pytest.raises(ValueError, match="no samples"):
        choose_side([])


@given(
    hw=st.tuples(st.integers(1, 20000), st.integers(1, 20000)),
    share=st.floats(0.001, 1),
    count=st.integers(1, 5),
)
def test_the_input_s_promises(hw: tuple[int, int], share: float, count: int) -> None:
    one = sample(hw, (share * hw[1], share * hw[0]))
    side, _ = choose_side([one] * count)
    usual = min(640, max(32, 2 * max(hw) // 32 * 32))
    assert side % 32 == 0
    assert usual <= side <= max(usual, max(hw))
    size = float(np.sqrt(object_sides([one], side).prod()))
    # Large enough, or there is no more to be had.
    assert size >= 16 - 1e-6 or side == usual or side > min(max(hw), 16384) - 32 or max(hw) < usual + 32
    if side > usual:
        assert float(np.sqrt(object_sides([one], side - 32).prod())) < 16


@needs_blood
def test_blood_cells() -> None:
    dataset = blood()
    # Published: 361, 4155 and 372, of which two red ones have no area.
    assert box_counts(dataset.samples, 3).tolist() == [361, 4153, 372]
    assert len(dataset.samples) == 364
    side, reason = choose_side(dataset.samples)
    assert side == 640
    assert "640 pixels" in reason
