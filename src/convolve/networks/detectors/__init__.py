"""What finds objects: the rungs of the detection ladder, one file each."""

from collections.abc import Callable
from dataclasses import dataclass

from convolve.networks.detection.detector import Detector
from convolve.registry import Registry


@dataclass(frozen=True, kw_only=True)
class DetectorKind:
    """One way from a backbone to boxes.

    Attributes:
        build: `build(network, classes=K, channels=C, image_hw=(H, W), anchors=AnchorShapes, **options) -> Detector`
            around the layers of a `Network`, whose weights it keeps; new layers are drawn from torch's global
            generator. (H, W) is the size that it will mostly see. Its keyword-only parameters with a default are the
            options of `detect.options`. It raises UserError where the network does not suit.
        takes_regions: whether it looks at given proposals.
        about: one line: what it is.
        source: the paper.
    """

    build: Callable[..., Detector]
    takes_regions: bool
    about: str
    source: str


DETECTORS: Registry[DetectorKind] = Registry("detector", "convolve.networks.detectors")
