"""What a training needs whose optimiser asks for the loss several times in a step."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from convolve.errors import UserError
from convolve.training.compute import Compute, is_out_of_memory


def check_suits_closures(compute: Compute, *, clip_norm: float) -> None:
    """Refuse what such an optimiser cannot honour, rather than leave it out unsaid.

    Raises:
        UserError: bfloat16, too coarse for differences of losses and for curvature; or a limit on a gradient that the
            training loop never sees.
    """
    if compute.bfloat16:
        raise UserError(
            "compute.precision='bfloat16' is too coarse for the curvature that this optimiser measures",
            "Give compute.precision=float32, or optimiser=sgd.",
        )
    if clip_norm:
        raise UserError(
            f"train.clip_norm={clip_norm:g} does not go with this optimiser, which damps its steps itself",
            "Leave it out, or give optimiser=sgd.",
        )


@contextmanager
def whole_batch_in_memory() -> Iterator[None]:
    """Inside, a graph is kept that is differentiated twice, so that a batch cannot be taken in portions.

    Raises:
        UserError: it does not fit in memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            "out of memory: this optimiser keeps the graph of a whole batch",
            "Give a smaller train.batch_size (and train.accumulate=1), or optimiser=sgd.",
        ) from error


@contextmanager
def running_statistics_kept(network: nn.Module) -> Iterator[None]:
    """Inside, batch norm normalises as it would, but its running mean and variance stay as they are."""
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats and module.training
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
