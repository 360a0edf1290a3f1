import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator
from skimage import data
from torch import nn

from convolve.errors import UserError
from convolve.networks.network import ARCHITECTURES, Network
from convolve.networks.score_maps import SCORE_MAPS
from convolve.randomness import torch_randomness
from convolve.registry import checked_options

SIDE = 12


def network(**options) -> Network:
    with torch_randomness("patch"):
        made = ARCHITECTURES["mlp"].create(3, channels=3, image_hw=(SIDE, SIDE), options={"hidden": (16,), **options})
        nn.init.normal_(made.head.weight)
    return made.eval().double()


def rung(made: nn.Module, **options):
    return SCORE_MAPS["patch"].build(made, outputs=3, channels=3, image_hw=(SIDE, SIDE), **options).eval()


def photo(height: int, width: int) -> torch.Tensor:
    pixels = data.astronaut()[50 : 50 + height, 60 : 60 + width] / 255.0 - 0.5
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


@pytest.mark.parametrize(("hw", "step"), [((13, 17), 4), ((12, 16), 4), ((9, 1), 3), ((2, 5), 8), ((10, 10), 1)])
def test_between_every_stepth_pixel_scores_are_interpolated_in_both_directions(hw, step):
    made, images = network(), photo(*hw)
    with torch.inference_mode():
        every = rung(made)(images)[0].numpy()
        found = rung(made, step=step)(images)[0].numpy()
    axes = [np.unique([*range(0, length, step), length - 1]) for length in hw]
    if min(map(len, axes)) == 1:
        # SciPy wants two knots an axis: a second one of the same value.
        axes = [axis if len(axis) > 1 else np.array([0, 1]) for axis in axes]
        every = np.pad(every, ((0, 0), (0, 1), (0, 1)), mode="edge")
    places = np.stack(np.meshgrid(*map(np.arange, hw), indexing="ij"), axis=-1)
    for scores, expected in zip(found, every, strict=True):
        known = expected[np.ix_(*axes)]
        np.testing.assert_allclose(scores, RegularGridInterpolator(axes, known)(places), rtol=0, atol=1e-12)


def test_images_of_a_batch_do_not_mix():
    made, images = network(), torch.cat([photo(9, 14), photo(9, 14).flip(3)])
    with torch.inference_mode():
        together = rung(made, step=2)(images)
        for number in (0, 1):
            torch.testing.assert_close(together[number : number + 1], rung(made, step=2)(images[number : number + 1]))


def test_scoring_leaves_the_features_even_if_the_network_drops_in_place():
    made = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 8), nn.Dropout(0.5, inplace=True), nn.Linear(8, 3))
    pixelwise = rung(made).train()
    images = photo(5, 6).float()
    with torch.inference_mode():
        encoded = pixelwise.encode(images)
        before = [values.clone() for values in encoded]
        assert not torch.equal(pixelwise.score(encoded, (5, 6)), pixelwise.score(encoded, (5, 6)))
    assert all(torch.equal(values, copy) for values, copy in zip(encoded, before, strict=True))


def test_a_step_is_at_least_one_pixel():
    with pytest.raises(UserError, match=r"segment\.options\.step=0"):
        checked_options(SCORE_MAPS["patch"].build, {"step": 0}, where="segment.options")
