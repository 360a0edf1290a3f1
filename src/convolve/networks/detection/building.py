"""Detectors from names and plain values: in training, and again from a model file."""

from collections.abc import Mapping
from typing import Any

from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.detector import Detector
from convolve.networks.detectors import DETECTORS
from convolve.networks.network import Network
from convolve.registry import checked_options


def build_detector(
    name: str,
    options: Mapping[str, Any],
    network: Network,
    *,
    classes: int,
    channels: int,
    image_hw: tuple[int, int],
    anchors: AnchorShapes,
) -> Detector:
    """A detector around the layers of a network, whose weights it keeps.

    Args:
        name: a rung of the ladder, in `DETECTORS`.
        options: of the rung, as a recipe gives them.
        network: with its weights; the layers that are used become part of what is returned.
        classes: K, without the background.
        channels: C, image channels.
        image_hw: height and width it will mostly see, pixels of the input.
        anchors: the shapes of reference boxes, pixels of the input.

    Raises:
        UserError: there is no such rung, an option is unknown, or the network does not suit it.
    """
    build = DETECTORS[name].build
    checked = checked_options(build, options, where="detect.options")
    return build(network, classes=classes, channels=channels, image_hw=image_hw, anchors=anchors, **checked)
