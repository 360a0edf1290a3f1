"""The maps of a backbone at all of its resolutions, and where on the image their units lie."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.networks.layers.bilinear_upsampling import Lattice
from convolve.networks.receptive_field import Field, FieldTracker
from convolve.networks.stages import find_stages

# Sides of the images, of the meta device, on which a chain of layers is measured; all strides divide them.
_SIDE = 1024
# Small, so that looking at a network costs little; at stride 32 it leaves maps of several units.
_SIDE_FOR_STAGES = 64


class FeaturePyramid(nn.Module):
    """A backbone up to its last map, giving the last map of each resolution.

    Images are continued with zeros at the right and the bottom to whole multiples of the coarsest stride: then any size
    will do, and what a place gives does not depend on the size of the image, as it does with TensorFlow's padding.

    Args:
        levels: layers of each resolution, from the image on; they stay what they are.
        channels: C of the images.
        margin: zeros around the image, pixels; there are no others then.

    Attributes:
        channels: of each level's map, finest first.
        lattices: where the units of each map lie on the image. Where the arithmetic of receptive fields cannot tell,
            in the middle of their stride.
        reach: of each map, pixels from a unit's centre to the farthest pixel that it sees; None = no bound is known.
        spread: of each map, pixels from any pixel to the farthest unit that its value is interpolated from.
        smallest_side: pixels that an image needs for a unit of every map.
        entry: so many levels are left out; instead of images, the maps of the last of these are given, as `lower` makes
            them. For layers that stay as they are while the others are trained.
        highest_entry: the most levels that can be left out without those that are needed further on.

    Raises:
        UserError: from one level to the next the resolution does not fall by an even factor.
    """

    def __init__(self, levels: Sequence[Sequence[nn.Module]], *, channels: int, margin: int = 0) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Sequential(*layers) for layers in levels)
        self.entry, self.highest_entry = 0, len(self.levels)
        self.margin = margin
        measured = _measure(self.levels, channels, margin)
        self.channels = tuple(level.channels for level in measured)
        self.lattices = tuple(level.lattice for level in measured)
        self.reach = tuple(level.reach for level in measured)
        self.spread = tuple(level.spread for level in measured)
        for finer, coarser in pairwise(self.strides):
            if coarser % finer or coarser // finer % 2:
                raise UserError(
                    f"the network's maps have strides of {finer} and then {coarser} pixels",
                    "Choose a network that halves its resolutions, for example torchvision:resnet18.",
                )
        self.smallest_side = self._smallest_side(channels)

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels from one unit to the next, of each map, finest first."""
        return tuple(lattice.stride for lattice in self.lattices)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) -> maps (N, D, h, w), finest first, from the level before `entry` on."""
        maps = images if self.entry else self._padded(images)
        found = [maps] if self.entry else []
        for level in self.levels[self.entry :]:
            maps = level(maps)
            found.append(maps)
        return tuple(found)

    def lower(self, images: Tensor, levels: int) -> Tensor:
        """(N, C, H, W) -> the map of the last of so many levels, at least one, counted from the image."""
        maps = self._padded(images)
        for level in self.levels[:levels]:
            maps = level(maps)
        return maps

    def _padded(self, images: Tensor) -> Tensor:
        if self.margin:
            return F.pad(images, (self.margin,) * 4)
        missing = [-length % self.strides[-1] for length in images.shape[2:]]
        return F.pad(images, (0, missing[1], 0, missing[0])) if any(missing) else images

    def _smallest_side(self, channels: int) -> int:
        levels = [_on_meta(level) for level in self.levels]
        step = 1 if self.margin else self.strides[-1]
        for side in range(step, _SIDE, step):
            maps = torch.empty(1, channels, *(side + 2 * self.margin,) * 2, device="meta", dtype=_dtype(self))
            try:
                for level in levels:
                    maps = level(maps)
            except RuntimeError:
                continue
            return side - step + 1
        raise _no_pyramid("no image is large enough for it")


def feature_pyramid(backbone: nn.Module, *, channels: int, image_hw: tuple[int, int]) -> FeaturePyramid:
    """The backbone without what follows its last map: global pooling, flattening, fully connected layers, dropout.

    Args:
        backbone: a chain of layers; those that are used become the pyramid's.
        channels: C of its images.
        image_hw: a size that the backbone takes, pixels; the pyramid takes others.

    Raises:
        UserError: the backbone is no chain, or has no maps.
    """
    maps, _ = map_layers(backbone, channels=channels, image_hw=image_hw)
    levels = [[layer for layer, _ in group] for _, group in groupby(maps, key=lambda pair: pair[1])]
    return FeaturePyramid(levels, channels=channels)


def map_layers(
    backbone: nn.Module, *, channels: int, image_hw: tuple[int, int]
) -> tuple[list[tuple[nn.Module, int]], list[nn.Module]]:
    """A backbone as a chain, in two parts.

    Returns:
        The layers that make maps, without dropout, each with the stride of its map in pixels; then the layers from the
        first one whose output does not grow with the image.

    Raises:
        UserError: the backbone is no chain of layers, or has no maps.
    """
    chain = _chain(backbone, channels, image_hw)
    copies = [_on_meta(layer) for layer in chain]
    small, large = (
        torch.empty(1, channels, side, side, device="meta", dtype=_dtype(backbone)) for side in (_SIDE, 2 * _SIDE)
    )
    strides: list[int] = []
    for layer in copies:
        small, large = layer(small), layer(large)
        grown = large.shape[2] - small.shape[2] if large.ndim == 4 else 0
        if grown == 0:
            break
        if _SIDE % grown or large.shape[3] - small.shape[3] != grown:
            raise _no_pyramid("its strides are no powers of 2, or others for rows than for columns")
        strides.append(_SIDE // grown)
    if not strides or strides[-1] == 1:
        raise _no_pyramid("it has no maps coarser than the image")
    maps = [pair for pair in zip(chain, strides, strict=False) if not isinstance(pair[0], nn.Dropout)]
    return maps, chain[len(strides) :]


def _chain(backbone: nn.Module, channels: int, image_hw: tuple[int, int]) -> list[nn.Module]:
    side = (_SIDE_FOR_STAGES, _SIDE_FOR_STAGES)
    for hw in (side, image_hw):
        try:
            stages = find_stages(backbone, channels=channels, image_hw=hw)
        except UserError as error:
            raise _no_pyramid(error.problem.partition(": ")[2] or error.problem) from error
        except (AssertionError, RuntimeError, ValueError) as error:
            failure = error
            continue
        return [layer for stage in stages for layer in stage.layers]
    raise _no_pyramid(str(failure).splitlines()[0]) from failure


def _no_pyramid(why: str) -> UserError:
    return UserError(
        f"the network cannot be made fully convolutional: {why}",
        "Choose another one, for example timm:tf_efficientnet_lite0, torchvision:resnet18 or residual.",
    )


@dataclass(frozen=True)
class _Measures:
    channels: int
    lattice: Lattice
    reach: int | None
    spread: int


def _measure(levels: nn.ModuleList, channels: int, margin: int) -> list[_Measures]:
    copies = [_on_meta(level) for level in levels]
    image = torch.empty(1, channels, _SIDE, _SIDE, device="meta", dtype=_dtype(levels))
    found = []
    fields = _fields(copies, image)
    with _gates_open(copies):
        places = _fields(copies, image)
    for (maps, field), (_, place) in zip(fields, places, strict=True):
        stride = place.jump[0] if place else round(_SIDE / maps.shape[2])
        first = ((place.low[0] + place.high[0]) if place else (stride - 1)) / 2 - margin
        last = first + (maps.shape[2] - 1) * stride
        reach = (field.high[0] - field.low[0] + 1) // 2 if field else None
        spread = ceil(max(stride, first, _SIDE - 2 * margin - 1 - last))
        found.append(_Measures(maps.shape[1], Lattice(stride, first), reach, spread))
    return found


def _fields(levels: Sequence[nn.Module], image: Tensor) -> list[tuple[Tensor, Field | None]]:
    """Each level's map, and its field if it has one."""
    tracker = FieldTracker(image)
    found = []
    maps = image
    with torch.no_grad(), tracker:
        for level in levels:
            maps = level(maps)
            found.append((maps, tracker.last_field))
    return found


@contextmanager
def _gates_open(levels: Sequence[nn.Module]) -> Iterator[None]:
    """Within it, modules give back what they get, if a unit of theirs certainly has the place that it came with.

    Squeeze and excitation looks at the whole map, so there is no bound to what its units see; but it moves none.
    """
    hooks = [
        module.register_forward_hook(_unmoved)
        for level in levels
        for module in level.modules()
        if _pointwise(module) and list(module.children())
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _pointwise(module: nn.Module) -> bool:
    kernels = [layer.kernel_size for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    return bool(kernels) and all(kernel == (1, 1) for kernel in kernels)


def _unmoved(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    same = len(inputs) == 1 and isinstance(output, Tensor) and inputs[0].shape == output.shape
    return inputs[0] if same else output


def _on_meta(module: nn.Module) -> nn.Module:
    # Copies of the tensors are given, so that none is made of VGG's 400 megabytes.
    copies: dict[int, Any] = {
        id(parameter): nn.Parameter(parameter.detach().to("meta"), requires_grad=False)
        for parameter in module.parameters()
    }
    copies |= {id(buffer): buffer.to("meta") for buffer in module.buffers()}
    return deepcopy(module, copies).eval()


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
