"""Measures which way of computing is fastest for one network on one machine, and checks that the loss agrees."""

import copy
import os
import shutil
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.optim import Optimizer

from convolve.progress import Progress
from convolve.randomness import torch_randomness
from convolve.training.compute import Compute, bfloat16_is_fast, is_out_of_memory, out_of_memory
from convolve.training.optimisers import ClosureOptimiser
from convolve.training.task import Objective

# A way must beat the plain one by this much, so that the machine's noise decides nothing.
_MARGIN = 1.05
# bfloat16 has 8 bits of mantissa: losses of a few units agree to about a hundredth.
_LOSS_TOLERANCE = 0.03
# Compiling takes about a minute on a CPU; shorter trainings cannot earn it back.
_WORTH_COMPILING_SECONDS = 1200.0


class Measurement(BaseModel):
    """One way of computing, tried.

    Attributes:
        compute: the way.
        images_per_second: training images a second, forward, backward and step; 0 if it did not run.
        loss: on the same batch and the same weights, before any step, without dropout; None if it did not run.
        verdict: "chosen", "slower", "loss differs" or "out of memory".
    """

    model_config = ConfigDict(frozen=True)

    compute: Compute
    images_per_second: float
    loss: float | None
    verdict: str = ""


class Calibration(BaseModel):
    """What was measured, and what is used; kept with the run, so that resuming computes alike.

    Attributes:
        chosen: the way of computing.
        images_per_second: of it; 0 where there was nothing to choose and so nothing was measured.
        measurements: of every way that was tried.
    """

    model_config = ConfigDict(frozen=True)

    chosen: Compute
    images_per_second: float
    measurements: tuple[Measurement, ...]


def candidates(
    device: str, *, memory_format: str, precision: str, compile_network: str, seconds_forecast: float = 0.0
) -> list[Compute]:
    """The ways worth trying on this machine, the plain one first; a setting other than "auto" is kept.

    Args:
        device: "cpu", "cuda", ...
        memory_format: "auto", "contiguous" or "channels_last".
        precision: "auto", "float32" or "bfloat16".
        compile_network: "auto", "on" or "off"; auto tries it for long trainings, where a C++ compiler is installed.
        seconds_forecast: of the whole training, computed the plain way.
    """
    layouts = {"auto": [False, True], "contiguous": [False], "channels_last": [True]}[memory_format]
    halves = {"auto": [False], "float32": [False], "bfloat16": [True]}[precision]
    if precision == "auto" and bfloat16_is_fast(device):
        halves.append(True)
    compiled = {"auto": [False], "off": [False], "on": [True]}[compile_network]
    has_compiler = device != "cpu" or shutil.which(os.environ.get("CXX", "c++")) is not None
    if compile_network == "auto" and has_compiler and seconds_forecast > _WORTH_COMPILING_SECONDS:
        compiled.append(True)
    return [
        Compute(device=device, channels_last=layout, bfloat16=half, compiled=way)
        for way in compiled
        for half in halves
        for layout in layouts
    ]


def calibrate(
    network: nn.Module,
    task: Objective,
    images: Tensor,
    targets: Tensor,
    ways: Sequence[Compute],
    *,
    trained: bool,
    seconds: float,
    progress: Progress,
    extras: Sequence[Tensor] = (),
    make_optimiser: Callable[[nn.Module], Optimizer] | None = None,
) -> Calibration:
    """Measure every way on a copy of the network and choose the fastest whose loss agrees with the first's.

    Args:
        network: left as it is.
        task: for the loss.
        images: (N, C, H, W) float32, normalised, one batch.
        targets: the batch's targets.
        ways: the first is the one that others are compared with.
        trained: measure training steps; otherwise forward passes in test mode.
        seconds: for each way, after a warm-up step.
        progress: told of each way.
        extras: what else the network takes of each image of the batch, (N, ...) each.
        make_optimiser: whose steps are measured; None = SGD, which most others cost about as much as.

    Raises:
        UserError: memory does not hold a single image.
    """
    inputs = (images, *extras)
    make = (make_optimiser or _plain_sgd) if trained else None
    measurements = _measure_all(network, task, inputs, targets, ways, make, seconds, progress)
    # Training itself goes on with parts of a batch; which way is fastest shows on a part as well.
    while len(targets) > 1 and all(measurement.verdict == "out of memory" for measurement in measurements):
        half = len(targets) // 2
        inputs, targets = tuple(some[:half] for some in inputs), targets[:half]
        measurements = _measure_all(network, task, inputs, targets, ways, make, seconds, progress)
    if all(measurement.verdict == "out of memory" for measurement in measurements):
        raise out_of_memory()
    return _choose(measurements)


def _measure_all(
    network: nn.Module,
    task: Objective,
    inputs: Sequence[Tensor],
    targets: Tensor,
    ways: Sequence[Compute],
    make_optimiser: Callable[[nn.Module], Optimizer] | None,
    seconds: float,
    progress: Progress,
) -> list[Measurement]:
    measurements: list[Measurement] = []
    for number, way in enumerate(ways):
        progress("calibrating", number, len(ways))
        try:
            measurements.append(_measure(copy.deepcopy(network), task, inputs, targets, way, make_optimiser, seconds))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            measurements.append(Measurement(compute=way, images_per_second=0.0, loss=None, verdict="out of memory"))
    progress("calibrating", len(ways), len(ways))
    return measurements


def _measure(
    network: nn.Module,
    task: Objective,
    inputs: Sequence[Tensor],
    targets: Tensor,
    way: Compute,
    make_optimiser: Callable[[nn.Module], Optimizer] | None,
    seconds: float,
) -> Measurement:
    run: Callable[..., Any] = way.runner(way.place(network))
    images, *extras = inputs
    placed = (way.images(images), *(extra.to(way.device) for extra in extras))
    targets = targets.to(way.device)
    trained = make_optimiser is not None
    optimiser = make_optimiser(network) if make_optimiser is not None else None
    if optimiser is not None:
        # A learning rate of zero costs what a step costs and leaves the weights, so every step has the same loss.
        for group in optimiser.param_groups:
            group["lr"] = 0.0

    def loss_now() -> Tensor:
        with way.precision():
            outputs = run(*placed)
        return task.losses(outputs, targets).mean()

    def step() -> float:
        if optimiser is None:
            with torch.no_grad():
                return float(loss_now().item())
        if isinstance(optimiser, ClosureOptimiser):
            return optimiser.step(loss_now)
        optimiser.zero_grad()
        loss = loss_now()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(loss.item())

    with torch_randomness("calibrate"):
        _without_chance(network, trained)
        loss = step()
        network.train(trained)
        step()
        done, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds or done == 0:
            step()
            done += 1
    return Measurement(compute=way, images_per_second=done * len(images) / elapsed, loss=loss)


def _plain_sgd(network: nn.Module) -> Optimizer:
    return torch.optim.SGD(network.parameters(), momentum=0.9, fused=True)


def _without_chance(network: nn.Module, trained: bool) -> None:
    """Batch statistics as in training, but no dropout: what it draws depends on the layout in memory."""
    network.eval()
    # Its parts are in test mode; a detector itself must go on to its loss all the same.
    network.training = trained
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train(trained)


def _choose(measurements: Sequence[Measurement]) -> Calibration:
    # The first that ran, which is the plainest.
    best = next(measurement for measurement in measurements if measurement.loss is not None)
    plain_loss = best.loss
    assert plain_loss is not None  # noqa: S101
    judged = []
    for measurement in measurements:
        if measurement.loss is not None:
            agrees = abs(measurement.loss - plain_loss) <= _LOSS_TOLERANCE * max(1.0, abs(plain_loss))
            measurement = measurement.model_copy(update={"verdict": "slower" if agrees else "loss differs"})
        if measurement.verdict == "slower" and measurement.images_per_second > _MARGIN * best.images_per_second:
            best = measurement
        judged.append(measurement)
    table = tuple(m.model_copy(update={"verdict": "chosen"}) if m.compute == best.compute else m for m in judged)
    return Calibration(chosen=best.compute, images_per_second=best.images_per_second, measurements=table)
