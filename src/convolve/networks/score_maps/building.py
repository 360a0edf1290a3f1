"""Networks for masks from names and plain values: in training, and again from a model file."""

from collections.abc import Mapping
from typing import Any

from convolve.networks.catalogue import find_architecture
from convolve.networks.network import Network
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.score_maps import SCORE_MAPS
from convolve.registry import checked_options


def build_network(
    name: str, options: Mapping[str, Any], *, outputs: int, channels: int, image_hw: tuple[int, int]
) -> Network:
    """A network for images of any number of bands, with fresh weights, drawn from torch's global generator.

    Args:
        name: as `find_architecture` takes it.
        options: of the architecture, as a recipe gives them.
        outputs: K, numbers its own head gives an image.
        channels: C. Architectures say whether they are made for grey and for RGB images; more bands than these (or 2)
            only widen the first layer, so the architecture is not asked.
        image_hw: height and width it will mostly see, pixels.

    Raises:
        UserError: there is no such network, or an option, the channels or the size do not suit it.
    """
    architecture = find_architecture(name)
    if channels in (1, 3):
        return architecture.create(outputs, channels=channels, image_hw=image_hw, options=options)
    checked = checked_options(architecture.build, options, where="network.options")
    return architecture.build(outputs, channels=channels, image_hw=image_hw, **checked)


def build_pixel_network(
    rung: str,
    options: Mapping[str, Any],
    network: Network,
    *,
    outputs: int,
    channels: int,
    image_hw: tuple[int, int],
) -> PixelNetwork:
    """A network for masks around the layers of a network, whose weights it keeps.

    Args:
        rung: how scores become a map, a name in `SCORE_MAPS`.
        options: of the rung, as a recipe gives them.
        network: with its weights; the layers that are used become part of what is returned.
        outputs: K, classes.
        channels: C, image channels.
        image_hw: height and width it will mostly see (crops, or patches), pixels.

    Raises:
        UserError: there is no such rung, an option is unknown, or the network does not suit it.
    """
    build = SCORE_MAPS[rung].build
    checked = checked_options(build, options, where="segment.options")
    return build(network, outputs=outputs, channels=channels, image_hw=image_hw, **checked)
