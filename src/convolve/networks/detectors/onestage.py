"""One stage: boxes and classes straight from the maps."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from convolve.networks.detection.anchors import AnchorShapes, base_anchors
from convolve.networks.detection.one_stage import MapsWithOutputs, OneStageDetector, OneStageHead
from convolve.networks.detection.one_stage_fcos import FCOSLayers
from convolve.networks.detection.one_stage_retinanet import RetinaNetLayers
from convolve.networks.detection.one_stage_ssdlite import SSDLiteLayers
from convolve.networks.detection.shared_maps import SharedMaps
from convolve.networks.detectors import DETECTORS, DetectorKind
from convolve.networks.feature_pyramid import feature_pyramid
from convolve.networks.network import Network

_STRIDES_OF_SMALLEST = 4
"""Of the finest map, that the smallest anchor has: Lin et al. (ICCV 2017) give 32 pixels to stride 8."""

_FINEST_STRIDE = 4
"""Finer maps would cost many times the backbone."""

_SCALES = 3
"""Sizes of anchors of each map."""

_LEAST_STEP = 2 ** (1 / _SCALES)
"""From one size to the next, so that the sizes of one map end where those of the next begin."""


def onestage(
    network: Network,
    *,
    classes: int,
    channels: int,
    image_hw: tuple[int, int],
    anchors: AnchorShapes,
    head: Literal["retinanet", "fcos", "ssdlite"] = "retinanet",
    width: Annotated[int, Field(ge=16)] = 96,
    depth: Annotated[int, Field(ge=1, le=4)] = 2,
) -> OneStageDetector:
    """A top-down pyramid with a head that speaks at every place of its maps.

    Args:
        network: its backbone is used.
        classes: K.
        channels: C.
        image_hw: a size that the backbone takes, pixels.
        anchors: their smallest size says which map is the finest; retinanet and ssdlite start from them
            (`sizes_of_maps`), fcos needs none.
        head: retinanet, fcos or ssdlite, from torchvision's layers.
        width: channels of the maps and of the head (256 in the papers).
        depth: 3 x 3 convolutions before the last ones of retinanet and fcos (4 in the papers).

    Raises:
        UserError: a backbone without maps.
    """
    backbone = feature_pyramid(network.backbone, channels=channels, image_hw=image_hw)
    finest = finest_stride(anchors.sizes, backbone.strides)
    shared = SharedMaps(backbone, used=sum(stride >= finest for stride in backbone.strides), width=width)
    sizes = sizes_of_maps(anchors.sizes, len(shared.lattices))
    bases = [base_anchors(of_map, anchors.ratios) for of_map in sizes]
    layers = _head(head, shared, bases, classes=classes, width=width, depth=depth)
    return OneStageDetector(MapsWithOutputs(shared, layers), classes=classes)


def finest_stride(sizes: Sequence[float], strides: Sequence[int]) -> int:
    """The coarsest stride that the smallest size has four of; else the finest of at least 4 pixels.

    Args:
        sizes: of anchors, pixels.
        strides: that there are, ascending.
    """
    suited = [stride for stride in strides if stride >= _FINEST_STRIDE] or [strides[-1]]
    fitting = [stride for stride in suited if _STRIDES_OF_SMALLEST * stride <= min(sizes)]
    return max(fitting, default=suited[0])


def sizes_of_maps(sizes: Sequence[float], maps: int) -> list[list[float]]:
    """Three sizes for each of some maps, finest first, all in one geometric series.

    A head that maps share needs as many anchors on each. The series begins at the smallest size that is asked for. Its
    steps are Lin et al.'s, the third root of 2 (ICCV 2017, 4), or as much longer as it takes to reach the largest.

    >>> [[round(size) for size in of_map] for of_map in sizes_of_maps([32, 64, 128], 3)]
    [[32, 40, 51], [64, 81, 102], [128, 161, 203]]
    """
    smallest, largest = min(sizes), max(sizes)
    step = max(_LEAST_STEP, (largest / smallest) ** (1 / (_SCALES * maps - 1)))
    series = [smallest * step**place for place in range(_SCALES * maps)]
    return [series[start : start + _SCALES] for start in range(0, len(series), _SCALES)]


def _head(
    name: str, shared: SharedMaps, bases: Sequence[Tensor], *, classes: int, width: int, depth: int
) -> OneStageHead:
    lattices = shared.lattices
    match name:
        case "fcos":
            return FCOSLayers(width=width, depth=depth, classes=classes, lattices=lattices)
        case "ssdlite":
            return SSDLiteLayers(width=width, classes=classes, lattices=lattices, bases=bases)
        case _:
            return RetinaNetLayers(width=width, depth=depth, classes=classes, lattices=lattices, bases=bases)


DETECTORS.add(
    "onestage",
    DetectorKind(
        build=onestage,
        takes_regions=False,
        about="boxes and classes straight from the maps of the whole image, at every place",
        source="Lin, Goyal, Girshick, He and Dollar, ICCV 2017; Tian et al., ICCV 2019; Liu et al., ECCV 2016",
    ),
)
