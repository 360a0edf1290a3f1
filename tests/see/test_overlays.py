import numpy as np
import pytest
from matplotlib import colormaps
from skimage.data import astronaut

from convolve.see.overlays import (
    WRONG,
    as_picture,
    error_map,
    fitted_hw,
    outlined_overlay,
    shrink_image,
    shrink_map,
    shrink_mask,
    uncertainty_map,
)

COLOURS = ((255, 0, 0), (0, 0, 255))


def halves(side=16):
    mask = np.zeros((side, side), np.uint8)
    mask[:, side // 2 :] = 1
    return mask


def grey_levels(picture):
    return np.ptp(picture.astype(int), axis=2)


def test_borders_are_in_full_colour_and_the_inside_is_mixed():
    image = np.full((16, 16, 3), 100, np.uint8)
    picture = outlined_overlay(image, halves(), COLOURS)
    assert (picture[:, 7] == COLOURS[0]).all()
    assert (picture[:, 0] == [178, 50, 50]).all()
    assert (picture[:, 8:] == [50, 50, 178]).all()


def test_ignored_pixels_are_hatched_in_grey_without_a_border():
    mask = halves()
    mask[:, 12:] = 255
    image = np.full((16, 16, 3), 100, np.uint8)
    picture = outlined_overlay(image, mask, COLOURS)
    hatched = picture[:, 12:]
    assert (grey_levels(hatched) == 0).all()
    assert len(np.unique(hatched)) == 2
    assert (picture[:, 11] == [50, 50, 178]).all()


def test_errors_are_red_what_is_right_is_pale_and_what_is_ignored_is_neither():
    image = np.zeros((16, 16, 3), np.uint8)
    truth, predicted = halves(), halves()
    predicted[:4] = 1
    truth[12:] = 255
    picture = error_map(image, truth, predicted).astype(int)
    wrong, right = picture[:4, :8], picture[4:12]
    assert (wrong == np.rint(0.85 * np.array(WRONG)).astype(int)).all()
    assert (right == 153).all()
    assert (picture[:4, 8:] == 153).all()
    assert (grey_levels(picture[12:]) == 0).all()


def test_wrong_pixels_stay_red_on_any_photo():
    image = astronaut()
    truth = np.zeros(image.shape[:2], np.uint8)
    picture = error_map(image, truth, truth + 1).astype(int)
    assert (picture[..., 0] - picture[..., 1:].max(axis=2) > 100).all()
    assert (grey_levels(error_map(image, truth, truth)) == 0).all()


def test_uncertainty_runs_through_inferno_from_sure_to_all_alike():
    entropy = np.array([[0.0, np.log(3) / 2, np.log(3), 9.0]])
    picture = uncertainty_map(entropy, highest=float(np.log(3)))
    ends = [np.rint(255 * np.array(colormaps["inferno"](share)[:3])) for share in (0.0, 0.5, 1.0, 1.0)]
    assert np.abs(picture[0].astype(int) - np.array(ends)).max() <= 1
    assert (np.diff(picture[0].astype(int).sum(axis=1)) >= 0).all()


def test_small_masks_hold_no_class_that_was_not_there():
    mask = np.random.default_rng(0).choice(np.array([0, 3, 255], np.uint8), (301, 401))
    hw = fitted_hw(mask.shape, 100)
    assert hw == (75, 100)
    assert set(np.unique(shrink_mask(mask, hw))) == {0, 3, 255}
    assert shrink_image(astronaut(), hw).shape == (75, 100, 3)


def test_a_shrunk_map_keeps_its_mean():
    values = np.random.default_rng(0).random((64, 96)).astype(np.float32)
    small = shrink_map(values, (16, 24))
    assert np.allclose(small, values.reshape(16, 4, 24, 4).mean(axis=(1, 3)), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_8_bits_are_untouched(channels):
    pixels = astronaut()[..., :channels]
    assert np.array_equal(as_picture(pixels), np.broadcast_to(pixels, (512, 512, 3)))


def test_other_numbers_are_stretched_band_by_band():
    values = np.linspace(0, 1, 10_001).reshape(73, 137)
    pixels = np.stack([1000 * values, 30_000 * values + 200, 7 + 0 * values, values], axis=2).astype(np.uint16)
    picture = as_picture(pixels)
    assert picture.shape == (73, 137, 3)
    assert picture.dtype == np.uint8
    low, high = 0.02, 0.98
    expected = 255 * np.clip((values - low) / (high - low), 0, 1)
    assert np.abs(picture[..., 1] - expected).max() < 1
    assert (picture[..., 2] == 0).all()


def test_what_is_not_finite_is_black():
    pixels = np.array([[[np.nan], [1.0], [2.0]]], np.float32)
    assert as_picture(pixels)[0, 0].tolist() == [0, 0, 0]
    assert as_picture(np.full((2, 2, 1), np.nan, np.float32)).max() == 0
