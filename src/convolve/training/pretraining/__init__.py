"""Pre-training without labels: the task that a backbone is given instead, one file each."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

from convolve.data.augment.augmentation import Augmentation
from convolve.data.batch import Batch
from convolve.registry import Registry
from convolve.training.task import Objective


class Method(Objective, Protocol):
    """One way to learn from images alone; its constructor's keyword-only parameters are its options.

    Every image comes as two views, (N, 2C, H, W): the first view's channels, then the second's.
    """

    lr: float
    """Peak learning rate of AdamW."""
    weight_decay: float

    def views(self, batch: Batch, augmentation: Augmentation, *, seed: int, epoch: int) -> Tensor:
        """(N, C, H, W) images in [0, 1] -> (N, 2C, H, W) in [0, 1], by (seed, epoch, row) alone."""

    def begin_epoch(self, epoch: int) -> None:
        """Told before every epoch, counted from 0, and again where a training goes on within one."""

    def network(self, backbone: nn.Module, *, features: int, channels: int, image_hw: tuple[int, int]) -> nn.Module:
        """What is trained: the backbone, and what the task needs beside it; (N, 2C, H, W), normalised -> outputs.

        Args:
            backbone: (N, C, H, W) -> (N, D); trained in place.
            features: D.
            channels: C.
            image_hw: H and W, pixels.
        """


PRETRAINING: Registry[Callable[..., Any]] = Registry("pre-training method", "convolve.training.pretraining")
