"""One set of maps of the whole image, that all regions are read from."""

from typing import Literal

from torch import Tensor, nn

from convolve.errors import UserError
from convolve.networks.detection.detector import Detector
from convolve.networks.detection.region_proposals import ProposalConvolutions
from convolve.networks.feature_pyramid import FeaturePyramid, feature_pyramid
from convolve.networks.layers.bilinear_upsampling import Lattice
from convolve.networks.layers.top_down_pyramid import TopDownPyramid, top_down_reach
from convolve.networks.network import Network

_SINGLE_STRIDE = 16
"""Of the one map that Girshick (ICCV 2015) and Ren et al. (NIPS 2015) look at, pixels."""

_FINEST_STRIDE = 8
"""Finer maps cost four times as much each, and help with objects of less than some 60 pixels only."""


class SharedMaps(nn.Module):
    """A backbone, and maps for the regions: those of a top-down pyramid, or the backbone's last as it is.

    Args:
        backbone: gives all of its maps.
        used: how many of them, from the coarsest on, are made into the pyramid.
        width: channels of the pyramid's maps; None = no pyramid; then one map is used.

    Attributes:
        channels: of each map.
        lattices: where the units of each map lie on the image, finest first.
        reach: see `Detector`.
    """

    def __init__(self, backbone: FeaturePyramid, *, used: int, width: int | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.used = used
        backbone.highest_entry = len(backbone.levels) - used + 1
        self.lattices: tuple[Lattice, ...] = backbone.lattices[-used:]
        self.channels = backbone.channels[-1] if width is None else width
        self.neck: nn.Module = nn.Identity()
        self.reach = backbone.reach[-1]
        if width is not None:
            self.neck = TopDownPyramid(backbone.channels[-used:], self.lattices, width=width)
            measures = (backbone.reach[-used:], backbone.spread[-used:], backbone.strides[-used:])
            self.reach = top_down_reach(*measures)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) -> maps (N, D, h, w), finest first."""
        maps: tuple[Tensor, ...] = self.neck(self.backbone(images)[-self.used :])
        return maps


class MapsWithProposals(nn.Module):
    """Shared maps, followed by what the proposal network makes of them.

    Args:
        shared: the maps.
        proposer: reads them.
    """

    def __init__(self, shared: SharedMaps, proposer: ProposalConvolutions) -> None:
        super().__init__()
        self.shared = shared
        self.proposer = proposer

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) -> shared maps, then objectness, then offsets (`ProposalConvolutions`)."""
        maps: tuple[Tensor, ...] = self.shared(images)
        objectness, offsets = self.proposer(maps)
        return (*maps, *objectness, *offsets)


def tell_measures(detector: Detector, maps: SharedMaps, *, further: int) -> None:
    """Tell a detector what follows from its maps: reach, stride, smallest side and encoder stages.

    Args:
        detector: reads the maps.
        maps: of the whole image.
        further: pixels that the detector's own layers see beyond a unit of the maps.
    """
    detector.reach = None if maps.reach is None else maps.reach + further
    detector.stride = maps.backbone.strides[-1]
    detector.smallest_side = maps.backbone.smallest_side
    detector.encoder_stages = tuple(maps.backbone.levels)


def shared_maps(
    network: Network,
    *,
    channels: int,
    image_hw: tuple[int, int],
    pyramid: bool,
    width: int,
    finest: int | Literal["auto"],
) -> SharedMaps:
    """The layers of a network that make maps, with or without a top-down pyramid.

    Args:
        network: its backbone is used; what follows its last map is left out.
        channels: C.
        image_hw: a size that the backbone takes, pixels.
        pyramid: whether; else one map of stride 16, or the nearest finer one that there is.
        width: of the pyramid's maps.
        finest: stride of the pyramid's finest maps, pixels; auto = 8, or the coarsest that there is if all are finer.

    Raises:
        UserError: a backbone without maps, or none of a stride `finest`.
    """
    backbone = feature_pyramid(network.backbone, channels=channels, image_hw=image_hw)
    if not pyramid:
        return SharedMaps(_up_to_stride(backbone, _SINGLE_STRIDE, channels), used=1, width=None)
    least = min(_FINEST_STRIDE, backbone.strides[-1]) if finest == "auto" else finest
    if finest != "auto" and finest not in backbone.strides:
        raise UserError(
            f"detect.options.finest={finest}: this network has no maps of that stride",
            f"Strides it has: {', '.join(map(str, backbone.strides))}.",
        )
    used = sum(stride >= least for stride in backbone.strides)
    return SharedMaps(backbone, used=used, width=width)


def _up_to_stride(backbone: FeaturePyramid, stride: int, channels: int) -> FeaturePyramid:
    kept = [[*level.children()] for level, own in zip(backbone.levels, backbone.strides, strict=True) if own <= stride]
    if not kept:
        raise UserError(
            f"the network's finest map has a stride of {backbone.strides[0]} pixels; one of at most {stride} is needed",
            "Set detect.options.pyramid=true, or choose another network.",
        )
    return FeaturePyramid(kept, channels=channels, margin=backbone.margin)
