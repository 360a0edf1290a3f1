"""The losses of a step's batches, and their gradient: what comes between the images and the optimiser."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from convolve.data.batch import Batch
from convolve.data.preprocessing import Normalise
from convolve.training.compute import Compute


@dataclass(frozen=True, kw_only=True)
class BatchLosses:
    """The mean loss over all images of some batches, those of a mixture counted by their weights.

    Attributes:
        network: (N, C, H, W) images, normalised, and a batch's extras -> outputs.
        losses: of outputs and targets, (N,).
        normalise: (N, C, H, W) images as a batch has them -> what the network takes.
        compute: device, layout, precision.
    """

    network: Callable[..., Any]
    losses: Callable[[Tensor, Tensor], Tensor]
    normalise: Normalise
    compute: Compute

    def mean(self, batches: Sequence[Batch]) -> Tensor:
        """A scalar with its graph over all batches, which is to be differentiated as one likes."""
        share = 1 / sum(len(batch.rows) for batch in batches)
        return torch.stack([loss for batch in batches for loss in self._parts(batch, share=share, portion=0)]).sum()

    def backward(self, batches: Sequence[Batch], *, portion: int) -> float:
        """The mean, whose gradient is added to that of the parameters part by part.

        Args:
            batches: of one step.
            portion: images at most whose graph is in memory at a time; 0 = a whole batch.
        """
        share, total = 1 / sum(len(batch.rows) for batch in batches), 0.0
        for batch in batches:
            for loss in self._parts(batch, share=share, portion=portion):
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.item()
        return total

    def _parts(self, batch: Batch, *, share: float, portion: int) -> Iterator[Tensor]:
        """The loss of each part of a batch, summed over its images, times `share`."""
        # Parts as equal as can be: a left-over single image would leave batch norm without statistics.
        parts = math.ceil(len(batch.rows) / (portion or len(batch.rows)))
        bounds = [number * len(batch.rows) // parts for number in range(parts + 1)]
        images = self.compute.images(self.normalise(batch.images))
        extras = [extra.to(self.compute.device) for extra in batch.extras]
        targets = batch.targets.to(self.compute.device)
        for part in (slice(start, end) for start, end in pairwise(bounds)):
            with self.compute.precision():
                outputs = self.network(images[part], *(extra[part] for extra in extras))
            losses = self.losses(outputs, targets[part])
            if batch.blend is not None:
                partners = targets[batch.blend.partner[part].to(targets.device)]
                weight = batch.blend.weight[part].to(losses.device)
                losses = weight * losses + (1 - weight) * self.losses(outputs, partners)
            yield losses.sum() * share
