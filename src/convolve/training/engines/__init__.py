"""What computes layers that are not trained, on many images and without gradients: one file each."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor, nn

from convolve.registry import Registry
from convolve.training.compute import Compute

Runner: TypeAlias = Callable[[Tensor], Tensor]
"""(N, C, H, W) float32 normalised images, any N -> (N, ...) float32 outputs on the CPU."""


class Engine(Protocol):
    """Makes a module ready to be run."""

    def __call__(self, module: nn.Module, image_shape: tuple[int, int, int], compute: Compute) -> Runner:
        """The module as this engine runs it.

        Args:
            module: in test mode.
            image_shape: C, H, W of one image.
            compute: where and how precisely.

        Raises:
            CannotRun: this engine has no way to run this module.
        """


class CannotRun(Exception):  # noqa: N818
    """An engine cannot run a module, and why, in its library's words."""


ENGINES: Registry[Engine] = Registry("engine", "convolve.training.engines")
