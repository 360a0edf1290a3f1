import numpy as np
import pytest

from convolve.data.masks.pictures import IGNORED_COLOUR, overlay, paint_mask

COLOURS = ((255, 0, 0), (0, 0, 255))


def test_each_class_has_its_colour_and_ignored_pixels_are_grey():
    painted = paint_mask(np.array([[0, 1, 255]], np.uint8), COLOURS)
    assert painted.tolist() == [[[255, 0, 0], [0, 0, 255], list(IGNORED_COLOUR)]]


def test_254_classes_can_be_told_apart():
    colours = [(index, 255 - index, 7) for index in range(254)]
    mask = np.arange(256, dtype=np.uint8)[None, [*range(254), 255]]
    painted = paint_mask(mask, colours)
    assert [tuple(pixel) for pixel in painted[0, :254].tolist()] == colours
    assert tuple(painted[0, 254]) == IGNORED_COLOUR


def test_a_class_without_a_colour_is_an_error_and_not_another_classs_colour():
    with pytest.raises(IndexError, match="class 2 has no colour"):
        paint_mask(np.array([[2]], np.uint8), COLOURS)


def test_an_overlay_is_the_mean_of_image_and_colours():
    image = np.full((1, 2, 3), 101, np.uint8)
    mask = np.array([[0, 1]], np.uint8)
    assert overlay(image, mask, COLOURS, alpha=0).tolist() == image.tolist()
    assert overlay(image, mask, COLOURS, alpha=1).tolist() == paint_mask(mask, COLOURS).tolist()
    assert overlay(image, mask, COLOURS)[0, 0].tolist() == [178, 50, 50]
