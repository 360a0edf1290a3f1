"""Faster R-CNN: the regions come from the shared maps as well."""

from typing import Annotated, Literal

from pydantic import Field

from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.region_features import PooledFeatures, Pooling
from convolve.networks.detection.region_heads import RegionHead, two_layers
from convolve.networks.detection.region_proposals import ProposalConvolutions, RegionProposals
from convolve.networks.detection.region_sampling import RegionSampling
from convolve.networks.detection.shared_maps import MapsWithProposals, shared_maps, tell_measures
from convolve.networks.detection.two_stage import TwoStageDetector
from convolve.networks.detectors import DETECTORS, DetectorKind
from convolve.networks.network import Network


def faster(
    network: Network,
    *,
    classes: int,
    channels: int,
    image_hw: tuple[int, int],
    anchors: AnchorShapes,
    pooling: Pooling = "roi_align",
    pyramid: bool = True,
    width: Annotated[int, Field(ge=16)] = 96,
    finest: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto",
    head_width: Annotated[int, Field(ge=16)] = 512,
    regions: Annotated[int, Field(ge=2)] = 128,
    proposals_kept: Annotated[int, Field(ge=1, le=10000)] = 300,
) -> TwoStageDetector:
    """Shared maps, a proposal network on them, and two layers on each region.

    Args:
        network: its backbone is used.
        classes: K.
        channels: C.
        image_hw: a size that the backbone takes, pixels.
        anchors: shapes of the boxes that proposals start from.
        pooling: how a region is read: roi_align, or roi_pool (the paper's).
        pyramid: maps of several resolutions; false = one of stride 16, as in the paper.
        width: channels of the pyramid's maps; and of the proposal network on it.
        finest: stride of its finest maps, pixels; auto = 8, or the coarsest that there is if all are finer.
        head_width: of the two layers (4096 in the paper).
        regions: of each image that a training step looks at.
        proposals_kept: regions of an image that are looked at when it is tested.

    Raises:
        UserError: a backbone without maps, or none of a stride `finest`.
    """
    maps = shared_maps(network, channels=channels, image_hw=image_hw, pyramid=pyramid, width=width, finest=finest)
    proposals = RegionProposals(maps.lattices, anchors, kept=proposals_kept)
    proposer = ProposalConvolutions(maps.channels, width=maps.channels, anchors=proposals.anchors_of_levels)
    features = PooledFeatures(maps.lattices, pooling=pooling)
    body = two_layers(maps.channels, bins=features.bins, width=head_width)
    detector = TwoStageDetector(
        classes=classes,
        dense=MapsWithProposals(maps, proposer),
        proposals=proposals,
        features=features,
        region_head=RegionHead(body, features=head_width, classes=classes),
        sampling=RegionSampling(count=regions),
    )
    # The proposals see one unit farther than the maps that they are read from.
    tell_measures(detector, maps, further=maps.backbone.strides[-1])
    return detector


DETECTORS.add(
    "faster",
    DetectorKind(
        build=faster,
        takes_regions=False,
        about="regions from a small network on the maps of the whole image",
        source="Ren, He, Girshick and Sun, NIPS 2015",
    ),
)
