"""The state of a training between two steps, as tensors by name and plain values: what exact resuming needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from convolve.errors import UserError
from convolve.run.tensors import read_tensors, write_tensors


@dataclass
class Position:
    """Where a training stands; plain JSON values only.

    Attributes:
        epoch, step: the step to be done next, both counted from 0.
        micro_batch: the largest part of a batch that fits in memory, in images; 0 = a whole batch.
        loss_sum, loss_count: of the epoch's images so far.
        seconds: spent training, evaluations included.
        best_epoch: epoch number (from 1) of the best weights; 0 = those before the first epoch.
        best: its validation figures; empty before the first evaluation.
        waited: epochs since then.
        schedule: the schedule's own state.
        history: the epochs that have ended.
        finished: nothing is left to be done.
    """

    epoch: int = 0
    step: int = 0
    micro_batch: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    waited: int = 0
    schedule: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False


def write_checkpoint(
    path: Path, position: Position, modules: Mapping[str, nn.Module], best: Mapping[str, Tensor], optimiser: Optimizer
) -> None:
    """Write everything that a training needs to go on, whole or not at all.

    Args:
        path: the file.
        position: where the training stands.
        modules: the network, and its average if there is one, by name.
        best: the best weights so far, by name.
        optimiser: its moments are kept by the number of their parameter.
    """
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    tensors |= {f"best/{key}": value for key, value in best.items()}
    for number, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{number}/{key}": value for key, value in moments.items() if isinstance(value, Tensor)}
    write_tensors(path, "checkpoint", tensors, vars(position))


def read_checkpoint(
    path: Path, modules: Mapping[str, nn.Module], optimiser: Optimizer
) -> tuple[Position, dict[str, Tensor]]:
    """Put modules and optimiser in the state of a checkpoint; returns the position and the best weights.

    Raises:
        UserError: the file is damaged, or was written for another network or optimiser.
    """
    tensors, card = read_tensors(path, "checkpoint")
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, key = name.partition("/")
        parts.setdefault(part, {})[key] = tensor
    try:
        for name, module in modules.items():
            module.load_state_dict(parts.get(name, {}))
        _restore_moments(optimiser, parts.get("optimiser", {}))
        position = Position(**card)
    except (RuntimeError, LookupError, ValueError, TypeError) as error:
        raise UserError(
            f"{path}: written for another network or optimiser", "Give another --out, or delete the run."
        ) from error
    network, best = modules["network"].state_dict(), parts.get("best", {})
    if {name: tensor.shape for name, tensor in network.items()} != {
        name: tensor.shape for name, tensor in best.items()
    }:
        raise UserError(f"{path}: its best weights are not this network's", "Give another --out, or delete the run.")
    return position, best


def _restore_moments(optimiser: Optimizer, moments: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in moments.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = tensor
    # A fused optimiser walks parameter and moment side by side in memory: both need the same layout.
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for number, tensors in state.items():
        parameter = parameters[number]
        for key, tensor in tensors.items():
            if tensor.shape == parameter.shape:
                tensors[key] = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
    # Learning rates are set anew at every step; the groups are built from the recipe, as they were.
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy on the CPU that later steps do not change."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.preserve_format)
        for name, tensor in state.items()
    }
