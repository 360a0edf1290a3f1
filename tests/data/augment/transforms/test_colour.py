import colorsys

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from convolve.data.augment.transform import TRANSFORMS

ADJUST = {
    "brightness": tv.adjust_brightness,
    "contrast": tv.adjust_contrast,
    "saturation": tv.adjust_saturation,
    "hue": tv.adjust_hue,
}


def images(channels: int = 3) -> torch.Tensor:
    torch_generator = torch.Generator().manual_seed(0)
    some = torch.rand(6, channels, 9, 7, generator=torch_generator)
    some[1] = some[1, :1]  # grey in colour
    some[2] = 1
    some[3] = (some[3] > 0.5).float()  # pure colours, where the hue's sextants meet
    return some


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.4])
def test_factors_do_what_torchvisions_do(name: str, channels: int, factor: float) -> None:
    uniforms = np.full((6, 1), (factor - 0.5) / 1.0)
    changed = TRANSFORMS[name](strength=0.5).apply(images(channels), uniforms)
    # torchvision rounds the weight of red in grey to 0.2989.
    assert torch.allclose(changed, ADJUST[name](images(channels), factor), atol=2e-4)


@pytest.mark.parametrize("turn", [-0.5, -0.21, 0.0, 0.1, 0.4])
def test_hue_is_torchvisions(turn: float) -> None:
    changed = TRANSFORMS["hue"](strength=0.5).apply(images(), np.full((6, 1), turn + 0.5))
    assert torch.allclose(changed, tv.adjust_hue(images(), turn), atol=2e-5)


def test_hue_is_pythons_colorsys_pixel_by_pixel() -> None:
    changed = TRANSFORMS["hue"](strength=0.5).apply(images()[:1], np.array([[0.63]]))
    for before, after in zip(images()[0].flatten(1).T, changed[0].flatten(1).T, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before.tolist())
        assert np.allclose(after, colorsys.hsv_to_rgb((hue + 0.13) % 1, saturation, value), atol=1e-5)


@pytest.mark.parametrize("name", ADJUST)
def test_images_of_a_batch_have_factors_of_their_own(name: str) -> None:
    transform = TRANSFORMS[name](strength=0.5)
    uniforms = np.linspace(0, 0.99, 6)[:, None]
    together = transform.apply(images(), uniforms)
    for position in range(6):
        alone = transform.apply(images()[position : position + 1], uniforms[position : position + 1])
        assert torch.equal(together[position], alone[0])
