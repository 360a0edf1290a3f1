import numpy as np
import pytest

from convolve.see.inside.contact_sheet import contact_sheet, in_colours, labelled, sized


def test_pictures_stand_row_by_row_with_white_between_them():
    red = np.full((2, 3, 3), (255, 0, 0), np.uint8)
    grey = np.full((2, 3), 100, np.uint8)
    sheet = contact_sheet([red, grey, grey], columns=2, gap=1)
    assert sheet.shape == (5, 7, 3)
    assert (sheet[:2, :3] == (255, 0, 0)).all()
    assert (sheet[:2, 4:] == 100).all()
    assert (sheet[3:, :3] == 100).all()
    assert (sheet[2] == 255).all()
    assert (sheet[:, 3] == 255).all()
    assert (sheet[3:, 4:] == 255).all()


def test_a_smaller_picture_stands_in_the_middle_of_its_place():
    sheet = contact_sheet([np.zeros((5, 5), np.uint8), np.zeros((1, 3), np.uint8)], columns=5, gap=0)
    assert sheet.shape == (5, 10, 3)
    rows, columns = np.nonzero(sheet[:, 5:, 0] == 0)
    assert (set(rows), set(columns)) == ({2}, {1, 2, 3})


def test_enlarging_repeats_pixels_and_shrinking_means_them():
    small = np.array([[10, 20]], np.uint8)
    assert (sized(small, 5) == np.array([[10, 10, 20, 20]] * 2)).all()
    assert (sized(np.array([[10, 20, 100, 200]] * 2, np.uint8), 2) == [[15, 150]]).all()


@pytest.mark.parametrize(("bands", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (5, [0, 1, 2])])
def test_images_of_any_bands_become_colours(bands, shown):
    image = np.arange(bands, dtype=np.uint8)[None, None].repeat(2, axis=0)
    assert (in_colours(image)[0, 0] == shown).all()


def test_a_label_is_written_above_the_picture_and_leaves_it_alone():
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    with_label = labelled(picture, "17")
    assert (with_label[-20:] == picture).all()
    above = with_label[:-20]
    assert (above < 100).any()
    assert (labelled(picture, "")[:-20] == 255).all()
