"""A network's outputs on many images, in order, without gradients."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from convolve.data.loader import Loader
from torch import Tensor, nn

from convolve.data.preprocessing import Preprocessing
from convolve.progress import Progress, silent
from convolve.training.compute import Compute


@dataclass(frozen=True)
class Outputs:
    """Outputs (N, K) float32 and targets, both on the CPU, rows in the loader's order."""

    outputs: Tensor
    targets: Tensor


def compute_outputs(
    network: nn.Module,
    loader: Loader,
    preprocessing: Preprocessing,
    compute: Compute,
    *,
    progress: Progress = silent,
    what: str = "evaluating",
) -> Outputs:
    """Run a network in test mode over a loader; its mode is put back afterwards.

    Args:
        network: (N, C, H, W) -> (N, K).
        loader: in order, without augmentation.
        preprocessing: normalises the images.
        compute: where and how.
        progress: told of every batch.
        what: what to tell it.
    """
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    run: Callable[[Tensor], Tensor] = compute.place(network)
    outputs, targets = [], []
    with torch.inference_mode(), compute.precision():
        for step in range(loader.steps):
            batch = loader.batch(0, step)
            outputs.append(run(compute.images(preprocessing.normalise(batch.images))).float().cpu())
            targets.append(batch.targets)
            progress(what, step + 1, loader.steps)
    for module, training in was_training.items():
        module.training = training
    return Outputs(torch.cat(outputs), torch.cat(targets))
