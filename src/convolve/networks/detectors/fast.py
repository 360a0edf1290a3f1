"""Fast R-CNN: the image goes through the network once, and every region is read from the same maps."""

from typing import Annotated, Literal

from pydantic import Field

from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.region_features import PooledFeatures, Pooling
from convolve.networks.detection.region_heads import RegionHead, two_layers
from convolve.networks.detection.region_proposals import GivenRegions
from convolve.networks.detection.region_sampling import RegionSampling
from convolve.networks.detection.shared_maps import shared_maps, tell_measures
from convolve.networks.detection.two_stage import TwoStageDetector
from convolve.networks.detectors import DETECTORS, DetectorKind
from convolve.networks.network import Network

_HARD_BACKGROUND = 0.1


def fast(
    network: Network,
    *,
    classes: int,
    channels: int,
    image_hw: tuple[int, int],
    anchors: AnchorShapes,
    pooling: Pooling = "roi_pool",
    pyramid: bool = True,
    width: Annotated[int, Field(ge=16)] = 96,
    finest: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto",
    head_width: Annotated[int, Field(ge=16)] = 512,
    regions: Annotated[int, Field(ge=2)] = 128,
) -> TwoStageDetector:
    """Shared maps, and two layers on each given region.

    Args:
        network: its backbone is used.
        classes: K.
        channels: C.
        image_hw: a size that the backbone takes, pixels.
        anchors: not used.
        pooling: how a region is read: roi_pool (the paper's) or roi_align (without its rounding).
        pyramid: maps of several resolutions; false = one of stride 16, as in the paper.
        width: channels of the pyramid's maps.
        finest: stride of its finest maps, pixels; auto = 8, or the coarsest that there is if all are finer.
        head_width: of the two layers (4096 in the paper).
        regions: of each image that a training step looks at.

    Raises:
        UserError: a backbone without maps, or none of a stride `finest`.
    """
    maps = shared_maps(network, channels=channels, image_hw=image_hw, pyramid=pyramid, width=width, finest=finest)
    features = PooledFeatures(maps.lattices, pooling=pooling)
    body = two_layers(maps.channels, bins=features.bins, width=head_width)
    detector = TwoStageDetector(
        classes=classes,
        dense=maps,
        proposals=GivenRegions(),
        features=features,
        region_head=RegionHead(body, features=head_width, classes=classes),
        sampling=RegionSampling(count=regions, background_iou=_HARD_BACKGROUND),
    )
    tell_measures(detector, maps, further=0)
    return detector


DETECTORS.add(
    "fast",
    DetectorKind(
        build=fast,
        takes_regions=True,
        about="given regions, read from maps of the whole image",
        source="Girshick, ICCV 2015",
    ),
)
