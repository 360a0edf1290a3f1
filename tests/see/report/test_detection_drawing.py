"""Boxes over images: where they are, what they say, and pieces cut out around them."""

import base64
import io
from itertools import pairwise

import numpy as np
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convolve.see.box_drawing import BoxMark, BoxPicture, cut_out, drawn, in_words, key
from see.report.detection_samples import picture

HW = (50, 80)


def svg_of(shown, **options):
    return BeautifulSoup(str(drawn(shown, **options)), "html.parser").svg


def image_of(svg):
    return Image.open(io.BytesIO(base64.b64decode(svg.image["href"].partition(",")[2])))


@st.composite
def pictures(draw):
    height, width = HW
    generator = np.random.default_rng(0)
    marks = []
    for _ in range(draw(st.integers(1, 4))):
        x0, y0 = draw(st.floats(0, width - 2)), draw(st.floats(0, height - 2))
        x1, y1 = draw(st.floats(x0 + 0.5, width)), draw(st.floats(y0 + 0.5, height))
        marks.append(BoxMark((x0, y0, x1, y1), "found", "cell", 0.9))
    return BoxPicture("a", generator.integers(0, 256, (*HW, 3), dtype=np.uint8), tuple(marks))


@given(pictures(), st.data())
def test_a_piece_holds_its_whole_box_over_the_same_pixels(whole, data):
    place = data.draw(st.integers(0, len(whole.marks) - 1))
    piece = cut_out(whole, place)
    height, width = piece.image.shape[:2]
    x0, y0, x1, y1 = piece.marks[-1].corners
    # Rounded to whole pixels the piece may be short by less than one.
    assert -1 <= x0 < x1 <= width + 1
    assert -1 <= y0 < y1 <= height + 1
    left, top = (round(a - b) for a, b in zip(whole.marks[place].corners[:2], (x0, y0), strict=True))
    assert np.array_equal(piece.image, whole.image[top : top + height, left : left + width])
    assert height == width or height == HW[0] or width == HW[1]


def test_a_piece_shows_the_other_boxes_that_reach_into_it():
    marks = [
        BoxMark((10, 10, 20, 20), "false alarm", "cell", 0.8),
        BoxMark((18, 12, 30, 25), "missed", "cell"),
        BoxMark((70, 40, 79, 49), "found", "cell", 0.9),
    ]
    piece = cut_out(BoxPicture("a", np.zeros((*HW, 3), np.uint8), tuple(marks)), 0)
    assert [mark.kind for mark in piece.marks] == ["missed", "false alarm"]
    # 24 pixels around (15, 15).
    assert piece.image.shape == (24, 24, 3)
    assert piece.marks[-1].corners == (7, 7, 17, 17)


def test_a_large_image_is_shrunk_and_its_boxes_keep_their_numbers():
    image = np.zeros((1000, 2000, 3), np.uint8)
    image[:, 1000:] = 255
    svg = svg_of(BoxPicture("a", image, (BoxMark((1500, 500, 1900, 900), "missed", "cell"),)), side=100)
    small = image_of(svg)
    assert small.size == (100, 50)
    assert np.asarray(small)[:, 60:].min() > 200
    assert svg["viewbox"] == "0 0 2000 1000"
    assert {rect["x"] for rect in svg.find_all("rect")} == {"1500.0"}


def test_every_kind_looks_different_without_colour():
    kinds = ("found", "false alarm", "missed", "ignored")
    dashes = [
        BeautifulSoup(str(key(kind)), "html.parser").find_all("rect")[1].get("stroke-dasharray") for kind in kinds
    ]
    assert len(set(dashes)) == 4
    assert dashes[0] is None


def test_where_there_are_many_boxes_only_what_went_wrong_is_labelled():
    few, many = picture(0, count=6), picture(0, count=30)
    assert 1 <= len(svg_of(few).find_all("text")) <= 6
    wrong = {mark.label for mark in many.marks if mark.kind in {"false alarm", "missed"}}
    labels = [text.text.partition(" ")[0] for text in svg_of(many).find_all("text")]
    assert labels
    assert set(labels) <= wrong
    assert len(labels) <= sum(mark.kind in {"false alarm", "missed"} for mark in many.marks)
    assert svg_of(few, labels=False).find_all("text") == []


def test_labels_do_not_lie_on_each_other_nor_outside():
    marks = tuple(BoxMark((float(x), 2.0, 320.0, 60.0), "missed", "erythrocyte") for x in range(0, 320, 20))
    svg = svg_of(BoxPicture("a", np.zeros((200, 320, 3), np.uint8), marks))
    labels = sorted((float(text["x"]), float(text["y"]), float(text["font-size"])) for text in svg.find_all("text"))
    assert len(labels) > 1
    for (x, y, _), (other_x, other_y, letters) in pairwise(labels):
        # No letter of a proportional font is on average narrower than two fifths of its height.
        assert other_x - x >= 0.4 * letters * len("erythrocyte") or abs(y - other_y) >= letters
    assert all(x >= 0 and y <= 200 for x, y, _ in labels)


def test_who_cannot_see_is_told_the_counts():
    shown = picture(0, count=6)
    assert svg_of(shown)["aria-label"].endswith("4 found, 1 false alarm, 1 missed")
    assert in_words(()) == "no boxes"


def test_a_mark_says_what_it_is():
    assert BoxMark((0, 0, 1, 1), "false alarm", "RBC", 0.871, note="IoU 0.41 with WBC").words == (
        "false alarm: RBC, 0.87, IoU 0.41 with WBC"
    )
    assert BoxMark((0, 0, 1, 1), "missed", "RBC").words == "missed: RBC"


def test_a_colour_of_its_own_is_used():
    shown = BoxPicture(
        "a", np.zeros((90, 90, 3), np.uint8), (BoxMark((1, 1, 9, 9), "annotated", "c", colour=(1, 2, 3)),)
    )
    assert svg_of(shown).find_all("rect")[1]["stroke"] == "#010203"


@pytest.mark.parametrize("hw", [(1, 1), (3, 200), (700, 30)])
def test_images_of_any_shape_are_drawn(hw):
    shown = BoxPicture("a", np.zeros((*hw, 3), np.uint8), (BoxMark((0, 0, hw[1], hw[0]), "found", "c", 0.5),))
    assert image_of(svg_of(cut_out(shown, 0))).size[0] >= 1
    assert svg_of(shown)["viewbox"] == f"0 0 {hw[1]} {hw[0]}"
