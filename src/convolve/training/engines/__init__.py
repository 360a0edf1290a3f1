"""What computes layers that are not trained, on many images and without gradients: one file each."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor, nn

from convolve.registry import Registry
from convolve.training.compute import Compute

Runner: TypeAlias = Callable[[Tensor], Tensor]
"""(N, C, H, W) float32 normalised images, any N -> (N, ...) float32 outputs on the CPU."""


AT_ONCE = 16
"""Images of a run, where nobody says otherwise: of small images OpenVINO's speed is the same for 1 to 32."""


class Engine(Protocol):
    """Makes a module ready to be run."""

    def __call__(
        self, module: nn.Module, image_shape: tuple[int, int, int], compute: Compute, *, at_once: int = AT_ONCE
    ) -> Runner:
        """The module as this engine runs it.

        Args:
            module: in test mode.
            image_shape: C, H, W of one image.
            compute: where and how precisely.
            at_once: images of one run, for engines that fix their number; fewer cost as much, more are cut into runs.

        Raises:
            CannotRun: this engine has no way to run this module.
        """


class CannotRun(Exception):  # noqa: N818
    """An engine cannot run a module, and why, in its library's words."""


ENGINES: Registry[Engine] = Registry("engine", "convolve.training.engines")
