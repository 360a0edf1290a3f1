import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from skimage import data as pictures
from torchvision.transforms.v2 import functional as TF

from convolve.data.box_preprocessing import BoxPreprocessing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HW = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


def preprocessing(side: int, channels: int = 3) -> BoxPreprocessing:
    return BoxPreprocessing(channels=1 if channels == 1 else 3, side=side, mean=MEAN[:channels], std=STD[:channels])


def test_the_longest_side_becomes_the_input_s() -> None:
    ours = preprocessing(640)
    assert ours.scale((3000, 4000)) == 0.16
    assert ours.input_hw((3000, 4000)) == (480, 640)
    assert ours.input_hw((200, 100)) == (640, 320)
    assert ours.input_hw((5000, 1)) == (640, 1)


@given(hw=HW, side=st.integers(1, 2000))
def test_a_box_around_an_image_becomes_one_around_its_input(hw: tuple[int, int], side: int) -> None:
    ours = preprocessing(side)
    h, w = ours.input_hw(hw)
    fx, fy = ours.box_factors(hw)
    assert max(h, w) == side
    assert (hw[1] * fx, hw[0] * fy) == pytest.approx((w, h), abs=1e-9)
    # Beside a whole number of pixels nothing is between the scale and the factors.
    assert abs(h - hw[0] * ours.scale(hw)) <= 0.5 or h == 1


@pytest.mark.parametrize("side", [100, 700])
def test_pixels_are_those_of_pillow_s_bicubic_filter(side: int) -> None:
    image = pictures.astronaut()[:300]
    ours = preprocessing(side)
    h, w = ours.input_hw((300, 512))
    expected = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(ours.resize(image), expected)


def test_an_image_of_the_right_size_stays_as_it_is_and_grey_keeps_its_axis() -> None:
    grey = pictures.camera()[:, :, None]
    assert preprocessing(512, channels=1).resize(grey) is grey
    assert preprocessing(64, channels=1).resize(grey).shape == (64, 64, 1)


def test_values_are_torchvision_s() -> None:
    image = pictures.astronaut()
    unit = preprocessing(512).to_unit(image)
    assert unit.is_contiguous()
    expected = TF.to_dtype(torch.from_numpy(image).permute(2, 0, 1), torch.float32, scale=True)
    torch.testing.assert_close(unit, expected, rtol=0, atol=1e-7)
    expected = TF.normalize(unit[None], list(MEAN), list(STD))
    torch.testing.assert_close(preprocessing(512).normalise(unit[None]), expected, rtol=0, atol=1e-6)


def test_the_fill_is_what_a_network_sees_as_zero() -> None:
    ours = preprocessing(32)
    canvas = torch.tensor(ours.fill)[None, :, None, None].expand(1, 3, 4, 4)
    assert torch.equal(ours.normalise(canvas), torch.zeros(1, 3, 4, 4))


def test_it_is_kept_in_a_file() -> None:
    ours = preprocessing(640)
    assert BoxPreprocessing.model_validate_json(ours.model_dump_json()) == ours


@pytest.mark.parametrize(
    "wrong",
    [{"mean": (0.5,)}, {"std": (1.0, 1.0, 0.0)}, {"side": 0}, {"channels": 2}, {"mean": (0.1, 0.2, float("nan"))}],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BoxPreprocessing.model_validate({"channels": 3, "side": 64, "mean": MEAN, "std": STD} | wrong)
