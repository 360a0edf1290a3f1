import numpy as np
import pytest

from convolve.data import class_places
from convolve.data.class_places import draw_places


def test_few_pixels_are_all_kept_and_of_many_some_without_repetition() -> None:
    mask = np.zeros((50, 60), np.uint8)
    mask[3, 4:8], mask[20:30, 20:30], mask[40:] = 1, 2, 255
    background, few, some, none = draw_places(mask, 4, 64, row=0)
    assert few.tolist() == np.flatnonzero(mask == 1).tolist()
    assert [len(background), len(some), len(none)] == [64, 64, 0]
    for index, places in ((0, background), (2, some)):
        assert (mask.ravel()[places] == index).all()
        assert (np.diff(places.astype(np.int64)) > 0).all()


def test_every_pixel_is_as_likely_as_any_other_across_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_places, "_STRIP_PIXELS", 100)
    drawn = [draw_places(np.zeros((25, 40), np.uint8), 1, 50, row=row)[0] for row in range(400)]
    # 20,000 draws over 10 strips: 2,000 each, with a standard deviation of at most sqrt(20,000 * 0.1 * 0.9) = 42.
    counts = np.bincount(np.concatenate(drawn) // 100, minlength=10)
    assert counts.sum() == 20_000
    assert np.abs(counts - 2000).max() < 5 * 42


def test_places_depend_on_the_row_alone() -> None:
    mask = np.zeros((30, 30), np.uint8)
    assert np.array_equal(draw_places(mask, 1, 9, row=3)[0], draw_places(mask, 2, 9, row=3)[0])
    assert not np.array_equal(draw_places(mask, 1, 9, row=3)[0], draw_places(mask, 1, 9, row=4)[0])
