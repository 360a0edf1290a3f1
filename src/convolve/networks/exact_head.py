"""What the heads of classic classifiers have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

# Distances to all stored images at once are a large matrix: so many images are judged at a time.
_AT_ONCE = 1024


class ExactHead(nn.Module, ABC):
    """A fitted classifier of another library, computed in float64 as that library does, so that both agree.

    It stays on the CPU wherever the network goes, and in its own precision: some GPUs have no float64, and next to a
    backbone its arithmetic is small. Its numbers are buffers, which no optimiser trains.

    Args:
        classes: (P,) int64, ascending: the classes that it was fitted on, the only ones it ever predicts.
        outputs: K >= P, all classes of the task.

    Raises:
        ValueError: the classes are not some of the K.
    """

    classes: Tensor

    def __init__(self, classes: Tensor, *, outputs: int) -> None:
        super().__init__()
        if classes.ndim != 1 or len(classes) < 2 or not 0 <= int(classes.min()) <= int(classes.max()) < outputs:
            raise ValueError(f"its classes {classes.tolist()} are not two or more of {outputs}")
        self.outputs = outputs
        self.keep(classes=classes)

    def keep(self, **tensors: Tensor) -> None:
        """Make tensors buffers, laid out as in a file: another layout would round the last bit another way."""
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor.contiguous())

    def forward(self, features: Tensor) -> Tensor:
        """(N, K) float64 outputs, on the CPU, of features (N, D) of any float dtype and device."""
        portions = torch.split(features.cpu().double(), _AT_ONCE)
        scores = torch.cat([self.scores(portion) for portion in portions])
        if len(self.classes) == self.outputs:
            return scores
        # Finite, so that the likelihood of an image of a class that was never seen is bad but not infinitely so.
        below = scores.min(dim=1, keepdim=True).values - 1
        return below.repeat(1, self.outputs).index_copy(1, self.classes, scores)

    @abstractmethod
    def scores(self, features: Tensor) -> Tensor:
        """(N, P) float64, the largest for the predicted class, of features (N, D) float64."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        return self


def check_shapes(expected: dict[str, tuple[Tensor, tuple[int, ...]]]) -> None:
    """Compare the shapes of tensors, as they come from a file, with what they have to be.

    Raises:
        ValueError: one differs, and which.
    """
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"'{name}' is {tuple(tensor.shape)}, not {shape}")
