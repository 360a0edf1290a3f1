"""A detector's costly parts, each run by the fastest engine at hand.

Converting a part takes seconds for each size of images. So torch runs it until the work done on one size would have
paid for that: a rule without a clock, so that the same images in the same order are always computed the same way.
"""

from collections import OrderedDict
from math import prod
from time import perf_counter

import torch
from torch import Tensor, nn

from convolve.networks.cost import cost_of
from convolve.networks.detection.detector import Detector
from convolve.progress import silent
from convolve.training.compute import Compute
from convolve.training.engines import ENGINES, Runner
from convolve.training.engines.choice import checked_runner
from convolve.training.features import module_digest

_WORTH_CONVERTING = 50e9
"""Multiply-adds on images of one size; what torch then has taken for them is about what converting takes, 5 s."""

_MOST_KEPT = 4
"""Converted sizes of a part; each holds its weights once more."""

_REGIONS_AT_ONCE = 64


class DetectorRuns:
    """The two parts of a detector that cost most.

    Args:
        network: in test mode, and not trained any more.
        compute: where and how, and the engine.
    """

    def __init__(self, network: Detector, compute: Compute) -> None:
        self._flat = _Flat(network.dense)
        self._dense = _Part(self._flat, compute, at_once=1)
        head = network.region_head
        self._head = None if head is None else _Part(head, _for_head(head, compute), _REGIONS_AT_ONCE)

    @property
    def preparing(self) -> float:
        """Seconds that went into converting the parts so far."""
        return self._dense.preparing + (0 if self._head is None else self._head.preparing)

    def dense(self, images: Tensor) -> tuple[Tensor, ...]:
        """The maps of (N, C, H, W) normalised images, on the CPU, float32."""
        hw = (images.shape[2], images.shape[3])
        flat = self._dense(images)
        shapes = self._flat.shapes[hw]
        parts = torch.split(flat, [prod(shape) for shape in shapes], dim=1)
        return tuple(part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True))

    def regions(self, features: Tensor) -> Tensor:
        """What the region head says of (R, D, s, s), (R, K + 1 + 4 K) on the CPU, float32."""
        assert self._head is not None  # noqa: S101 only detectors with a region head ask for it
        return self._head(features)


def _for_head(head: nn.Module, compute: Compute) -> Compute:
    """How a region head is run: matrix products alone are torch's, in which OpenVINO takes three times as long."""
    convolves = any(isinstance(module, nn.Conv2d) for module in head.modules())
    return compute if convolves else compute.model_copy(update={"engine": "torch"})


class _Flat(nn.Module):
    """Maps as one row of numbers an image: engines give back one tensor."""

    def __init__(self, dense: nn.Module) -> None:
        super().__init__()
        self.dense = dense
        self.shapes: dict[tuple[int, int], list[tuple[int, ...]]] = {}

    def forward(self, images: Tensor) -> Tensor:
        maps = self.dense(images)
        if not torch.compiler.is_exporting():
            self.shapes[images.shape[2], images.shape[3]] = [tuple(some.shape[1:]) for some in maps]
        return torch.cat([some.flatten(1) for some in maps], dim=1)


class _Part:
    """A module, run by torch until converting it for a size of images pays."""

    def __init__(self, module: nn.Module, compute: Compute, at_once: int) -> None:
        self._module = module
        self._compute = compute
        self._at_once = at_once
        self.preparing = 0.0
        self._digest: str | None = None
        self._multiply_adds: dict[tuple[int, int, int], int] = {}
        self._work: dict[tuple[int, int, int], int] = {}
        self._converted: OrderedDict[tuple[int, int, int], Runner] = OrderedDict()

    def __call__(self, images: Tensor) -> Tensor:
        channels, height, width = images.shape[1:]
        shape = (channels, height, width)
        if self._compute.engine == "torch" or not self._pays(shape, len(images)):
            return ENGINES["torch"](self._module, shape, self._compute)(images)
        return self._engine(shape, images)(images)

    def _pays(self, shape: tuple[int, int, int], number: int) -> bool:
        """Whether converting pays: never for the first images of a size, by which the shapes of the maps are learnt."""
        if shape not in self._multiply_adds:
            cost = cost_of(self._module, channels=shape[0], image_hw=shape[1:])
            self._multiply_adds[shape], self._work[shape] = cost.multiply_adds, 0
            return False
        self._work[shape] += number * self._multiply_adds[shape]
        return self._work[shape] >= _WORTH_CONVERTING

    def _engine(self, shape: tuple[int, int, int], images: Tensor) -> Runner:
        if shape not in self._converted:
            start = perf_counter()
            if self._digest is None:
                self._digest = module_digest(self._module)
            self._converted[shape] = checked_runner(
                self._module,
                images,
                self._compute,
                key=self._digest,
                required=False,
                progress=silent,
                at_once=self._at_once,
            )
            self.preparing += perf_counter() - start
            if len(self._converted) > _MOST_KEPT:
                self._converted.popitem(last=False)
        self._converted.move_to_end(shape)
        return self._converted[shape]
