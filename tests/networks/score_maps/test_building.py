import pytest
import torch

from convolve.errors import UserError
from convolve.networks.score_maps.building import build_network, build_pixel_network
from convolve.randomness import torch_randomness


def network(name: str = "residual", channels: int = 3, **options: object):
    with torch_randomness(0, "test"):
        return build_network(name, options, outputs=4, channels=channels, image_hw=(33, 33))


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 12])
def test_networks_take_any_number_of_bands(channels):
    built = network(channels=channels).eval()
    assert built(torch.zeros(2, channels, 33, 33)).shape == (2, 4)


def test_what_an_architecture_refuses_for_photos_is_refused():
    with pytest.raises(UserError, match="at least 32 x 32"):
        build_network("patch-net", {}, outputs=4, channels=3, image_hw=(16, 16))
    for channels in (3, 5):
        with pytest.raises(UserError, match=r"network\.options: unknown option 'depht'"):
            network(channels=channels, depht=3)


def test_a_network_for_masks_keeps_the_weights_it_is_built_around():
    inner = network("patch-net")
    built = build_pixel_network("dense", {}, inner, outputs=4, channels=3, image_hw=(33, 33))
    own = {parameter.data_ptr() for parameter in built.parameters()}
    assert {parameter.data_ptr() for parameter in inner.parameters()} <= own
    assert built.eval()(torch.zeros(1, 3, 40, 50)).shape == (1, 4, 40, 50)


def test_unknown_rungs_and_options_are_refused():
    with pytest.raises(UserError, match="unknown way to a map of scores 'densse'"):
        build_pixel_network("densse", {}, network("patch-net"), outputs=4, channels=3, image_hw=(33, 33))
    with pytest.raises(UserError, match=r"segment\.options: unknown option 'stride'"):
        build_pixel_network("patch", {"stride": 2}, network("patch-net"), outputs=4, channels=3, image_hw=(33, 33))
