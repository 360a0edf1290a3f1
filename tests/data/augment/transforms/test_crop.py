import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from convolve.data.augment.transforms.crop import Crop
from convolve.geometry import resample
from convolve.randomness import uniforms


def rectangles(crop: Crop, *, image_hw: tuple[int, int], count: int = 2000) -> np.ndarray:
    """(N, 4) left, top, right, bottom of what is shown, from the image's top left corner."""
    height, width = image_hw
    back = np.linalg.inv(crop.matrices(uniforms(0, rows=np.arange(count), count=4), image_hw=image_hw))
    corners = back @ np.array([[-width / 2, width / 2], [-height / 2, height / 2], [1, 1]])
    return (corners[:, :2] + np.array([[width / 2], [height / 2]])).transpose(0, 2, 1).reshape(-1, 4)


@pytest.mark.parametrize("image_hw", [(32, 32), (20, 60), (60, 20)])
def test_rectangles_lie_within_and_have_the_area_asked_for(image_hw: tuple[int, int]) -> None:
    left, top, right, bottom = rectangles(Crop(area=0.3), image_hw=image_hw).T
    assert min(left.min(), top.min()) > -1e-9
    assert right.max() < image_hw[1] + 1e-9
    assert bottom.max() < image_hw[0] + 1e-9
    area = (right - left) * (bottom - top) / (image_hw[0] * image_hw[1])
    assert np.allclose(np.quantile(area, [0.01, 0.5, 0.99]), [0.307, 0.65, 0.993], atol=0.03)


def test_ratios_stay_within_theirs_and_tall_is_as_frequent_as_wide() -> None:
    left, top, right, bottom = rectangles(Crop(area=0.2), image_hw=(32, 32)).T
    ratio = (right - left) / (bottom - top)
    assert 3 / 4 - 1e-9 <= ratio.min() < 0.77
    assert 1.3 < ratio.max() <= 4 / 3 + 1e-9
    assert np.median(np.log(ratio)) == pytest.approx(0, abs=0.02)


def test_rectangles_touch_all_sides_alike() -> None:
    left, top, right, bottom = rectangles(Crop(area=0.5), image_hw=(32, 32)).T
    margins = np.array([left, top, 32 - right, 32 - bottom]).mean(axis=1)
    assert np.allclose(margins, margins.mean(), rtol=0.1)


def test_a_crop_is_torchvisions_resized_crop() -> None:
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    area, ratio = 10 * 12 / 256, 12 / 10
    drawn = [(area - 0.2) / 0.8, 0.5 + np.log(ratio) / np.log(1.5) / 2, 1 / 4, 5 / 6]
    crop = Crop(area=0.2, ratio=1.5)
    moved = resample(images, crop.matrices(np.array([drawn]), image_hw=(16, 16)), fill=torch.zeros(3))
    expected = tv.resized_crop(images, top=5, left=1, height=10, width=12, size=[16, 16], antialias=False)
    # At the rectangle's rim torchvision repeats its last pixel, while here the image's next one shows.
    assert torch.allclose(moved[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-4)
