"""Outlines against COCO's own tools."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from convolve.data.dataset import IGNORE, Outline, Outlines
from convolve.data.masks.outlines import decode_counts, draw_outlines, outline_area, outline_fault, reaches_out

coco = pytest.importorskip("pycocotools.mask")

SQUARE = (2.0, 1.0, 6.0, 1.0, 6.0, 4.0, 2.0, 4.0)  # rows 1 to 3, columns 2 to 5


def decoded_by_coco(encoded: Any) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools, about NumPy 2
        pixels: NDArray[np.uint8] = coco.decode(encoded)
    return pixels


def drawn(*shapes: Outline, hw: tuple[int, int] = (8, 10), background: int | None = 0) -> NDArray[np.uint8]:
    return draw_outlines(Outlines(hw, shapes, background))


def test_a_square_covers_its_pixels() -> None:
    expected = np.zeros((8, 10), np.uint8)
    expected[1:4, 2:6] = 3
    np.testing.assert_array_equal(drawn(Outline(3, polygons=(SQUARE,))), expected)


def test_the_mask_is_laid_out_like_any_other() -> None:
    mask = drawn(Outline(1, polygons=(SQUARE,)))
    assert (mask.dtype, mask.flags.c_contiguous, mask.flags.writeable) == (np.uint8, True, True)


def test_the_later_shape_is_on_top_and_none_is_ignored() -> None:
    over = Outline(None, runs=(8 * 4, 8, 8 * 5))  # column 4
    mask = drawn(Outline(3, polygons=(SQUARE,)), over, background=None)
    assert (mask[:, 4] == IGNORE).all()
    assert mask[2].tolist() == [IGNORE, IGNORE, 3, 3, IGNORE, 3, IGNORE, IGNORE, IGNORE, IGNORE]
    assert drawn(over, Outline(3, polygons=(SQUARE,)))[2, 4] == 3


def test_without_shapes_it_is_all_background() -> None:
    assert (drawn(background=2) == 2).all()
    assert (drawn(Outline(1)) == 0).all()


@given(data=st.data(), height=st.integers(1, 40), width=st.integers(1, 40), digits=st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_polygons_cover_what_coco_says(data: st.DataObject, height: int, width: int, digits: int) -> None:
    """Corners half an image outside, and several polygons an object, included."""
    x = st.floats(-width / 2, 1.5 * width).map(lambda value: round(value, digits))
    y = st.floats(-height / 2, 1.5 * height).map(lambda value: round(value, digits))
    polygon = st.lists(st.tuples(x, y), min_size=3, max_size=8).map(lambda corners: [v for xy in corners for v in xy])
    polygons = data.draw(st.lists(polygon, min_size=1, max_size=3))
    expected = decoded_by_coco(coco.merge(coco.frPyObjects(polygons, height, width)))
    mask = drawn(Outline(1, polygons=tuple(map(tuple, polygons))), hw=(height, width))
    np.testing.assert_array_equal(mask, expected)


@given(data=st.data(), height=st.integers(1, 30), width=st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_both_forms_of_run_lengths_give_the_mask_back(data: st.DataObject, height: int, width: int) -> None:
    bits = data.draw(st.binary(min_size=height * width, max_size=height * width))
    mask = (np.frombuffer(bits, np.uint8) > 100).astype(np.uint8).reshape(height, width)
    encoded = coco.encode(np.asfortranarray(mask))
    runs = decode_counts(encoded["counts"].decode())
    np.testing.assert_array_equal(drawn(Outline(1, runs=runs), hw=(height, width)), mask)
    assert outline_area(Outline(1, runs=runs)) == coco.area(encoded)


def test_long_runs_take_several_characters() -> None:
    mask = np.zeros((3000, 4000), np.uint8)
    mask[:, 1500:3999] = 1
    encoded = coco.encode(np.asfortranarray(mask))
    assert decode_counts(encoded["counts"].decode()) == (4_500_000, 7_497_000, 3000)


@pytest.mark.parametrize("text", ["", "P", "p", "5 2", "é0", "0" * 3 + "\n", "oooooooo0", "\ud800", "中"])
def test_damaged_strings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="compressed run lengths are damaged"):
        decode_counts(text)


@given(st.text(alphabet=[chr(code) for code in range(48, 112)], min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_string_is_refused_or_numbers_that_are_checked(text: str) -> None:
    try:
        runs = decode_counts(text)
    except ValueError:
        return
    sound = min(runs) >= 0 and sum(runs) == 80
    assert (outline_fault(Outline(1, runs=runs), (8, 10)) == "") == sound


@pytest.mark.parametrize(
    ("outline", "fault"),
    [
        (Outline(1, polygons=(SQUARE[:5],)), "5 numbers, an odd count"),
        (Outline(1, polygons=(SQUARE, SQUARE[:4])), "fewer than three corners"),
        (Outline(1, polygons=((),)), "fewer than three corners"),
        (Outline(1, polygons=((*SQUARE, float("nan"), 1.0),)), "not finite"),
        (Outline(1, polygons=((*SQUARE, 1.0, float("inf")),)), "not finite"),
        (Outline(1, polygons=((*SQUARE, 1e300, 1.0),)), "far outside the image of 10 x 8"),
        (Outline(1, polygons=((*SQUARE, 1.0, -8.5),)), "far outside"),
        (Outline(1, polygons=((*SQUARE, 20.5, 1.0),)), "far outside"),
        (Outline(1, polygons=((0.0, 0.0, 20.0, 0.0) * 200_000,)), "over 4,000,000 pixels long"),
        (Outline(1, runs=(40, 39)), "add up to 79, not to the image's 80 pixels"),
        (Outline(1, runs=(10**30, 1)), "add up to"),
        (Outline(1, runs=(-10, 90)), "negative"),
    ],
)
def test_what_is_not_sound_is_said_and_not_drawn(outline: Outline, fault: str) -> None:
    assert fault in outline_fault(outline, (8, 10))
    with pytest.raises(ValueError, match=fault):
        drawn(outline)


@pytest.mark.parametrize("hw", [(0, 5), (5, -1), (20_000, 20_000)])
def test_a_mask_has_a_size(hw: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="megapixels can be drawn"):
        drawn(hw=hw)


def test_what_reaches_out_by_more_than_rounding() -> None:
    assert not reaches_out(Outline(1, polygons=((-0.5, 0.0, 10.5, 0.0, 10.5, 8.4, 0.0, 8.4),)), (8, 10))
    assert reaches_out(Outline(1, polygons=(SQUARE, (-3.0, 0.0, 5.0, 0.0, 5.0, 5.0))), (8, 10))
    assert reaches_out(Outline(1, polygons=((0.0, 0.0, 5.0, 0.0, 5.0, 9.5),)), (8, 10))
    assert not reaches_out(Outline(1, runs=(0, 80)), (8, 10))


def test_the_area_of_polygons_is_what_they_enclose() -> None:
    triangle = (0.0, 0.0, 4.0, 0.0, 0.0, 3.0)
    assert outline_area(Outline(1, polygons=(SQUARE, triangle))) == pytest.approx(12 + 6)
    assert outline_area(Outline(1, polygons=(SQUARE[::-1],))) == pytest.approx(12)
