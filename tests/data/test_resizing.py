from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import from_numpy
from torch.nn.functional import interpolate

from convolve.data.preprocessing import Fit, Preprocessing
from convolve.data.resizing import choose_fit, fit_image, fit_stack


def preprocessing(image_hw: tuple[int, int], fit: Fit, channels: int = 3, fill: int = 128) -> Preprocessing:
    mean = (fill / 255,) * channels
    return Preprocessing(image_hw=image_hw, fit=fit, channels=channels, mean=mean, std=(1.0,) * channels)


def noise(height: int, width: int, channels: int, count: int | None = None) -> np.ndarray:
    shape = (height, width, channels) if count is None else (count, height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("fit", get_args(Fit))
def test_an_image_of_the_right_size_is_left_alone(fit: Fit) -> None:
    image = noise(8, 12, 3)
    assert fit_image(image, preprocessing((8, 12), fit)) is image


def test_stretch_is_antialiased_bicubic_as_torch_has_it() -> None:
    image = noise(37, 50, 3)
    ours = fit_image(image, preprocessing((16, 20), "stretch"))
    torchs = interpolate(
        from_numpy(image).permute(2, 0, 1)[None].float(), (16, 20), mode="bicubic", antialias=True, align_corners=False
    )[0].permute(1, 2, 0)
    # Two roundings to bytes lie between them.
    assert np.abs(ours - torchs.clamp(0, 255).numpy()).max() <= 1.5


def test_pad_keeps_everything_and_fills_the_rest() -> None:
    image = np.full((10, 40, 1), 200, np.uint8)
    padded = fit_image(image, preprocessing((20, 20), "pad", channels=1, fill=7))
    assert padded.shape == (20, 20, 1)
    assert (padded[:7] == 7).all()
    assert (padded[7:12] == 200).all()
    assert (padded[12:] == 7).all()


def test_crop_cuts_both_ends_equally() -> None:
    image = np.zeros((10, 30, 1), np.uint8)
    image[:, 10:20] = 90
    assert (fit_image(image, preprocessing((10, 10), "crop", channels=1)) == 90).all()


@given(
    st.sampled_from(get_args(Fit)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.sampled_from([1, 3]),
)
def test_a_stack_is_resized_to_the_bit_as_each_image(
    fit: Fit, image_hw: tuple[int, int], target_hw: tuple[int, int], channels: int
) -> None:
    images = noise(*image_hw, channels, count=3)
    how = preprocessing(target_hw, fit, channels)
    stacked = fit_stack(images, how)
    assert stacked.shape == (3, *target_hw, channels)
    np.testing.assert_array_equal(stacked, np.stack([fit_image(image, how) for image in images]))


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(get_args(Fit)))
def test_a_plain_image_stays_plain_where_it_is_seen(height: int, width: int, fit: Fit) -> None:
    image = np.full((height, width, 3), 31, np.uint8)
    assert (fit_image(image, preprocessing((9, 14), fit, fill=31)) == 31).all()


@pytest.mark.parametrize("target_hw", [(8, 8), (4, 5)])
def test_both_ways_it_is_pillows_bicubic(target_hw: tuple[int, int]) -> None:
    image = noise(7, 7, 1)
    pillow = Image.fromarray(image[..., 0]).resize(target_hw[::-1], Image.Resampling.BICUBIC)
    fitted = fit_image(image, preprocessing(target_hw, "stretch", channels=1))
    np.testing.assert_array_equal(fitted[..., 0], np.asarray(pillow))


@pytest.mark.parametrize(
    ("shapes", "fit", "why"),
    [
        ([(100, 105)] * 96 + [(100, 200)] * 4, "stretch", "96% of the images are square"),
        ([(100, 105)] * 94 + [(200, 100)] * 6, "pad", "6% of the images are clearly longer"),
        ([(100, 200)] * 3 + [(0, 0)], "pad", "half of all by 2.00 to 1"),
        ([(0, 0)], "pad", "no image could be read"),
    ],
)
def test_the_fit_follows_the_shapes(shapes: list[tuple[int, int]], fit: Fit, why: str) -> None:
    chosen, reason = choose_fit(np.array(shapes, np.int32))
    assert chosen == fit
    assert why in reason
