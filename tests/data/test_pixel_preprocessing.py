import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torchvision.transforms.v2 import functional as tv

from convolve.data.pixel_preprocessing import PixelPreprocessing


def of(channels: int, low: float, high: float, **others: object) -> PixelPreprocessing:
    spread = {"mean": (0.25,) * channels, "std": (0.5,) * channels} | others
    return PixelPreprocessing(channels=channels, low=(low,) * channels, high=(high,) * channels, **spread)


def test_bytes_become_what_torchvision_makes_of_them() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 7, 9, 3), dtype=np.uint8)
    expected = tv.to_dtype(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.float32, scale=True)
    unit = of(3, 0, 255).to_unit(pixels)
    torch.testing.assert_close(unit, expected, rtol=1e-6, atol=0)
    assert unit.is_contiguous()
    expected = tv.normalize(expected, [0.25] * 3, [0.5] * 3)
    torch.testing.assert_close(of(3, 0, 255).normalise(unit), expected)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_low_and_high_become_the_ends_and_what_is_beyond_is_cut_off(dtype: str) -> None:
    pixels = np.array([5, 10, 15, 20, 30, 40], dtype)[None, :, None]
    assert of(1, 10, 30).to_unit(pixels).tolist() == [[[0, 0, 0.25, 0.5, 1, 1]]]


def test_channels_have_ranges_of_their_own() -> None:
    both = PixelPreprocessing(channels=2, low=(0, -100), high=(10, 100), mean=(0.5, 0.5), std=(1, 1))
    assert both.to_unit(np.array([[[5, 50]]], np.int16)).flatten().tolist() == [0.5, 0.75]


def test_large_numbers_that_differ_little_are_told_apart() -> None:
    pixels = (1e9 + np.arange(4.0))[None, :, None]
    unit = of(1, 1e9, 1e9 + 4).to_unit(pixels)
    assert unit.flatten().tolist() == [0, 0.25, 0.5, 0.75]


def test_no_data_has_the_mean_even_where_it_is_no_number() -> None:
    pixels = np.array([[[np.nan, 4.0], [8.0, 4.0]]], np.float32)
    unit = of(2, 0, 8).to_unit(pixels, np.array([[False, True]]))
    assert unit.tolist() == [[[0.25, 1.0]], [[0.25, 0.5]]]
    assert of(2, 0, 8).normalise(unit[None])[0, :, 0, 0].tolist() == [0, 0]


def test_the_scaled_size_is_rounded_and_never_nothing() -> None:
    assert of(1, 0, 1, scale=0.5).scaled_hw((361, 480)) == (180, 240)
    assert of(1, 0, 1, scale=0.01).scaled_hw((10, 480)) == (1, 5)


def test_it_survives_being_written_down() -> None:
    one = of(4, -3.5, 1e4, bands=(4, 3, 2, 1), scale=0.5)
    assert PixelPreprocessing.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"mean": (0.5,)}, "mean has 1 values for 2 channels"),
        ({"bands": (1, 2, 3)}, "bands has 3 values for 2 channels"),
        ({"high": (0.0, 0.0)}, "high must be above low"),
        ({"std": (1.0, 0.0)}, "std must be above 0"),
        ({"scale": 0}, "greater than 0"),
        ({"image_hw": (3, 3)}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_together_is_refused(others: dict[str, object], words: str) -> None:
    facts = {"channels": 2, "low": (0, 0), "high": (1, 1), "mean": (0.5, 0.5), "std": (1, 1)}
    with pytest.raises(ValidationError, match=words):
        PixelPreprocessing.model_validate(facts | others)
