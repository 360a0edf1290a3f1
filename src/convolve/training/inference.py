"""A network's outputs on many images, in order, without gradients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convolve.data.batch import Batches
from convolve.data.preprocessing import Normalise
from convolve.progress import Progress, silent
from convolve.training.compute import Compute, is_out_of_memory, out_of_memory


@dataclass(frozen=True)
class Outputs:
    """Outputs (N, ...) and targets, or what was condensed from them, on the CPU, rows in the loader's order."""

    outputs: Tensor
    targets: Tensor


def compute_outputs(
    network: nn.Module,
    loader: Batches,
    normalise: Normalise,
    compute: Compute,
    *,
    condense: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda outputs, targets: (outputs, targets),
    progress: Progress = silent,
    what: str = "evaluating",
) -> Outputs:
    """Run a network in test mode over a loader; its mode is put back afterwards.

    Args:
        network: (N, C, H, W), and the batches' extras, -> (N, ...).
        loader: in order, without augmentation.
        normalise: from a batch's images to what the network takes.
        compute: where and how.
        condense: what is kept of a batch's float32 outputs and its targets, for example `Objective.condense`.
        progress: told of every batch.
        what: what to tell it.

    Raises:
        UserError: memory does not hold a single image.
    """
    run: Callable[..., Tensor] = compute.place(network)
    outputs, targets = [], []
    with in_test_mode(network), torch.inference_mode(), compute.precision():
        for step in range(loader.steps):
            batch = loader.batch(0, step)
            extras = [extra.to(compute.device) for extra in batch.extras]
            computed = in_parts(run, compute.images(normalise(batch.images)), *extras).float().cpu()
            some_outputs, some_targets = condense(computed, batch.targets)
            outputs.append(some_outputs)
            targets.append(some_targets)
            progress(what, step + 1, loader.steps)
    return Outputs(torch.cat(outputs), torch.cat(targets))


@contextmanager
def in_test_mode(network: nn.Module) -> Iterator[None]:
    """Within it, the network and everything in it is in test mode; every module's mode is put back afterwards."""
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in was_training.items():
            module.training = training


def in_parts(run: Callable[..., Tensor], images: Tensor, *extras: Tensor) -> Tensor:
    """The outputs of a batch, by halves where memory does not hold it whole."""
    try:
        return run(images, *extras)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        if len(images) == 1:
            raise out_of_memory() from error
    # Outside of the handler, whose traceback would keep the failed attempt's tensors alive.
    halves = zip(*(tensor.tensor_split(2) for tensor in (images, *extras)), strict=True)
    return torch.cat([in_parts(run, *half) for half in halves])
