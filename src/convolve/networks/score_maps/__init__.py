"""How scores become a map: the rungs of the segmentation ladder, one file each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from convolve.networks.pixel_network import PixelNetwork
from convolve.registry import Registry


@dataclass(frozen=True, kw_only=True)
class ScoreMap:
    """One way from a classifier to a map.

    Attributes:
        build: `build(network, outputs=K, channels=C, image_hw=(H, W), **options) -> PixelNetwork` around the layers of
            a `Network`, whose weights it keeps; new layers are drawn from torch's global generator. (H, W) is the size
            that it will mostly see: crops, or patches. Its keyword-only parameters with a default are the options of
            `segment.options`. It raises UserError where the network does not suit.
        trained_on: "crops" or "patches".
        about: one line: what it is.
        source: the paper.
    """

    build: Callable[..., PixelNetwork]
    trained_on: Literal["crops", "patches"]
    about: str
    source: str


SCORE_MAPS: Registry[ScoreMap] = Registry("way to a map of scores", "convolve.networks.score_maps")
