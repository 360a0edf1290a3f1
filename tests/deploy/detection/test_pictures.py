import numpy as np
import pytest

from convolve.data.boxes.detections import Detections
from convolve.deploy.detection.pictures import (
    DrawnBox,
    class_colour,
    draw_boxes,
    drawn_detections,
    false_alarm_box,
    found_box,
    missed_box,
)

GREY = np.full((200, 320, 3), 128, np.uint8)


def changed(picture: np.ndarray) -> np.ndarray:
    return (picture != 128).any(axis=2)


def test_a_solid_line_lies_within_its_box_and_closes_it():
    before = GREY.copy()
    picture = draw_boxes(GREY, [DrawnBox((40, 50, 100, 90), "", (255, 0, 0))])
    assert np.array_equal(before, GREY)
    expected = np.zeros((200, 320), bool)
    expected[50:90, 40:100] = True
    expected[51:89, 41:99] = False
    assert np.array_equal(changed(picture), expected)
    assert (picture[expected] == (255, 0, 0)).all()


def test_lines_grow_with_the_picture():
    big = np.full((2000, 3200, 3), 128, np.uint8)
    drawn = changed(draw_boxes(big, [DrawnBox((400, 500, 1000, 900), "", (255, 0, 0))]))
    assert drawn[700, 400:410].all()
    assert not drawn[700, 410:990].any()


@pytest.mark.parametrize(("style", "share"), [("solid", 1.0), ("dashed", 0.625), ("dotted", 0.5)])
def test_dashes_and_dots(style, share):
    drawn = changed(draw_boxes(GREY, [DrawnBox((0, 0, 320, 200), "", (255, 0, 0), style)]))
    assert drawn[0].mean() == pytest.approx(share, abs=0.02)
    assert drawn[:, -1].mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("corners", [(0, 0, 320, 200), (300, 190, 320, 200), (0, 0, 1, 1), (319.7, 199.8, 320, 200)])
def test_words_stay_in_the_picture_wherever_the_box_is(corners):
    told = draw_boxes(GREY, [DrawnBox(corners, "platelet 0.93", (0, 114, 178))])
    silent = draw_boxes(GREY, [DrawnBox(corners, "", (0, 114, 178))])
    words = (told != silent).any(axis=2)
    assert (told > 190).all(axis=2).sum() > 30  # white on dark blue
    rows, columns = np.nonzero(words)
    assert 10 <= np.ptp(rows) <= 25
    assert 50 <= np.ptp(columns) <= 140


def test_words_are_dark_on_light_colours():
    told = draw_boxes(GREY, [DrawnBox((50, 50, 150, 150), "disc", (240, 228, 66))])
    assert (told < 70).all(axis=2).sum() > 10


def test_found_false_and_missed_differ_in_colour_and_in_line():
    boxes = [
        found_box((10, 40, 90, 190), "a", 0.9),
        false_alarm_box((110, 40, 190, 190), "a", 0.4),
        missed_box((210, 40, 290, 190), "a"),
    ]
    assert len({box.colour for box in boxes}) == len({box.style for box in boxes}) == 3
    assert [box.text for box in boxes] == ["a 0.90", "a 0.40", "a"]


def test_each_class_has_its_colour_and_the_most_probable_lies_on_top():
    same = (20.0, 30.0, 80.0, 90.0)
    found = Detections(np.array([same, same]), np.array([3, 1]), np.array([0.9, 0.8]))
    boxes = drawn_detections(found, ("a", "b", "c", "d"))
    assert [box.text for box in boxes] == ["d 0.90", "b 0.80"]
    assert tuple(draw_boxes(GREY, boxes)[60, 20]) == class_colour(3) != class_colour(1)
    assert len({class_colour(index) for index in range(7)}) == 7


def test_grey_images_become_rgb():
    assert draw_boxes(GREY[..., :1], []).shape == GREY.shape
    assert np.array_equal(draw_boxes(GREY[..., :1], []), GREY)
