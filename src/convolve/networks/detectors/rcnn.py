"""R-CNN: each region is cut out of the image, and goes through the whole network."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.region_heads import RegionHead
from convolve.networks.detection.region_proposals import GivenRegions
from convolve.networks.detection.region_sampling import RegionSampling
from convolve.networks.detection.two_stage import TwoStageDetector
from convolve.networks.detection.warping import Shape, warp_regions
from convolve.networks.detectors import DETECTORS, DetectorKind
from convolve.networks.network import Network
from convolve.networks.stages import find_stages

# Of what the zoo's networks were trained on; larger than the image nothing is gained.
_SIDE = 224
# The paper's, of 227 pixels.
_CONTEXT = 16 / 227
# A quarter of them show objects (32 and 96 in the paper).
_POSITIVE_SHARE = 0.25
# Small, so that looking at a network costs little.
_SIDE_FOR_STAGES = 64
# What two thousand regions would take at once is more memory than there is.
_PORTION = 64


class ImagesThemselves(nn.Module):
    """Nothing is computed on whole images."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) -> the images."""
        return (images,)


class WarpedRegions(nn.Module):
    """Regions as images of one size, see `warp_regions`.

    Args:
        side: of each, pixels.
        context: pixels at each of their edges that lie outside the region.
        shape: what becomes of a region that is no square.
    """

    def __init__(self, *, side: int, context: int, shape: Shape) -> None:
        super().__init__()
        self.side = side
        self.context = context
        self.shape: Shape = shape

    def forward(self, maps: tuple[Tensor, ...], image_hw: tuple[int, int], boxes: Sequence[Tensor]) -> Tensor:
        """(R, C, side, side), see `RegionFeatures`; the only map is the images."""
        return warp_regions(maps[0], boxes, side=self.side, context=self.context, shape=self.shape)


def rcnn(
    network: Network,
    *,
    classes: int,
    channels: int,
    image_hw: tuple[int, int],
    anchors: AnchorShapes,
    side: Annotated[int, Field(ge=8, le=1024)] | Literal["auto"] = "auto",
    context: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto",
    shape: Shape = "warp",
    regions: Annotated[int, Field(ge=2)] = 32,
) -> TwoStageDetector:
    """A network on each given region: its features, and a linear layer for the classes and the boxes.

    The paper fits the offsets of boxes to features of a network that is finished (ridge regression); here they are
    learned with it, as in Fast R-CNN. For its support vector machines see `training.region_svm`.

    Args:
        network: its backbone is used, whole; it need not be a chain of layers.
        classes: K.
        channels: C.
        image_hw: a size that images mostly have, pixels.
        anchors: not used.
        side: of the regions as the network sees them, pixels; auto = 224, or the image's longer side if that is less.
        context: pixels at each edge of `side` that lie outside the region; auto = 16 of 227, as in the paper.
        shape: warp = a region is stretched to a square (the paper's); square = the square around it is cut out.
        regions: of each image that a training step looks at, a quarter of them with objects (128 in the paper, of two
            images).

    Raises:
        UserError: the backbone does not take images of that side, or nothing is left of it beside the context.
    """
    own_side = min(_SIDE, max(image_hw)) if side == "auto" else side
    own_context = round(own_side * _CONTEXT) if context == "auto" else context
    if 2 * own_context >= own_side:
        raise UserError(
            f"detect.options.context={own_context}: nothing of {own_side} pixels (detect.options.side) is left for the "
            "region",
            f"Set detect.options.context to {(own_side - 1) // 2} or less; auto is {round(own_side * _CONTEXT)}.",
        )
    stages = _stages(network, channels=channels, side=own_side)
    detector = TwoStageDetector(
        classes=classes,
        dense=ImagesThemselves(),
        proposals=GivenRegions(),
        features=WarpedRegions(side=own_side, context=own_context, shape=shape),
        region_head=RegionHead(nn.Sequential(*stages), features=network.features, classes=classes),
        sampling=RegionSampling(count=regions, positive_share=_POSITIVE_SHARE),
        portion=_PORTION,
    )
    detector.encoder_stages = stages
    return detector


def _stages(network: Network, *, channels: int, side: int) -> tuple[nn.Module, ...]:
    """The backbone in parts of one resolution each; as one part if it is no chain of layers."""
    backbone = network.backbone
    _check_side(network, channels=channels, side=side)
    for own_side in (_SIDE_FOR_STAGES, side):
        try:
            stages = find_stages(backbone, channels=channels, image_hw=(own_side, own_side))
        except UserError:
            break
        # Made for another side: what a layer raises then.
        except (AssertionError, RuntimeError, ValueError):
            continue
        return tuple(nn.Sequential(*stage.layers) for stage in stages)
    return (backbone,)


def _check_side(network: Network, *, channels: int, side: int) -> None:
    was_training = network.backbone.training
    network.backbone.eval()
    weight = next(network.backbone.parameters())
    try:
        with torch.inference_mode():
            shape = network.backbone(weight.new_zeros(1, channels, side, side)).shape
    # What a layer raises where an image is too small, or has another size than it was made for.
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"detect.options.side={side}: the network does not take images of {side} x {side} pixels: "
            f"{str(error).splitlines()[0]}",
            "Set detect.options.side to the size it was made for, or choose another network.",
        ) from error
    finally:
        network.backbone.train(was_training)
    assert shape == (1, network.features)  # noqa: S101


DETECTORS.add(
    "rcnn",
    DetectorKind(
        build=rcnn,
        takes_regions=True,
        about="given regions, each cut out of the image and sent through the whole network",
        source="Girshick, Donahue, Darrell and Malik, CVPR 2014",
    ),
)
