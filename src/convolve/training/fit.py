"""The one training loop, for every task, network, start and device."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from convolve.data.batch import Batch, Batches
from convolve.data.preprocessing import Normalise
from convolve.errors import UserError
from convolve.progress import Progress
from convolve.randomness import torch_randomness
from convolve.run.history import History
from convolve.training.auxiliary_losses import drop_auxiliaries, training_form
from convolve.training.batch_losses import BatchLosses
from convolve.training.checkpoint import Position, copied, read_checkpoint, write_checkpoint
from convolve.training.closures import check_suits_closures, running_statistics_kept, whole_batch_in_memory
from convolve.training.compute import Compute, is_out_of_memory, out_of_memory
from convolve.training.inference import Outputs, compute_outputs
from convolve.training.optimisers import ClosureOptimiser
from convolve.training.schedules import Schedule, learning_rate_factor
from convolve.training.task import Objective


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How long, and what is watched meanwhile.

    Attributes:
        epochs: passes over the training images.
        lr: the peak learning rate, per step.
        warmup: share of all steps spent rising to it.
        accumulate: batches per step of the optimiser.
        clip_norm: largest L2 norm of the whole gradient, averaged first; 0 = no limit.
        average: decay per step of the averaged weights, which are then evaluated and kept; 0 = none.
        patience: epochs without a better score before stopping; 0 = never.
        checkpoint_seconds: at most so long between two checkpoints.
        freeze_norms: batch norm keeps the statistics it came with.
        keep: the weights that the network ends with: those of the best epoch, or those of the last.
        seed: of dropout; order and augmentation are the loader's.
    """

    epochs: int
    lr: float
    warmup: float = 0.0
    accumulate: int = 1
    clip_norm: float = 0.0
    average: float = 0.0
    patience: int = 0
    checkpoint_seconds: float = 60.0
    freeze_norms: bool = False
    keep: Literal["best", "last"] = "best"
    seed: int = 0


@dataclass(frozen=True)
class FitResult:
    """The end of a training; the network has its best weights.

    Attributes:
        best_epoch: from 1; 0 = the weights before the first epoch were best.
        best: validation figures of that epoch.
        epochs: how many were trained.
        seconds: spent training, over all sessions.
        images_per_second: training images a second, evaluations excluded, in this session; 0 if nothing was left to do.
        micro_batch: images per forward pass if memory did not hold a batch, else 0.
    """

    best_epoch: int
    best: dict[str, float]
    epochs: int
    seconds: float
    images_per_second: float
    micro_batch: int


class Fit:
    """One training.

    Args:
        network: trained in place.
        task: its loss and score.
        train: batches by (epoch, step).
        validation: chooses the best epoch; never trained on.
        normalise: (N, C, H, W) images as a batch has them -> what the network takes.
        optimiser: over the network's trained parameters; a group's "lr_factor" multiplies its learning rate.
        schedule: factors of the peak learning rate.
        compute: device, layout, precision.
        settings: the rest.
        folder: gets `checkpoint.safetensors`, `history.jsonl` and `tensorboard/`; a checkpoint in it is gone on from.
        progress: told of every step.
        begin_epoch: called before every epoch with its number, counted from 0, and again where a training goes on
            within one; the network is in training mode then. It may change what is trained, by the number alone.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        task: Objective,
        train: Batches,
        validation: Batches,
        normalise: Normalise,
        optimiser: Optimizer,
        schedule: Schedule,
        compute: Compute,
        settings: FitSettings,
        folder: Path,
        progress: Progress,
        begin_epoch: Callable[[int], None] = lambda epoch: None,
    ) -> None:
        self._network = compute.place(network)
        closed = isinstance(optimiser, ClosureOptimiser)
        if closed:
            check_suits_closures(compute, clip_norm=settings.clip_norm)
        stepped, losses = training_form(network, task)
        self._losses = BatchLosses(
            # What torch.compile makes cannot be differentiated twice.
            network=stepped if closed else compute.runner(stepped),
            losses=losses,
            normalise=normalise,
            compute=compute,
        )
        self._task = task
        self._train = train
        self._validation = validation
        self._normalise = normalise
        self._optimiser = optimiser
        self._schedule = schedule
        self._compute = compute
        self._settings = settings
        self._checkpoint = folder / "checkpoint.safetensors"
        self._folder = folder
        self._progress = progress
        self._begin_epoch = begin_epoch
        self._modules: dict[str, nn.Module] = {"network": network}
        if settings.average:
            average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True)  # type: ignore[no-untyped-call]
            self._modules["average"] = average
        self._position = Position(schedule=schedule.state())
        self._best: dict[str, Tensor] = {}
        self._images = 0
        self._image_seconds = 0.0

    def run(self) -> FitResult:
        """Train to the end, from the checkpoint if there is one.

        Raises:
            UserError: the loss is no number any more, the checkpoint is damaged, or no space is left. The last good
                checkpoint stays.
        """
        if self._checkpoint.exists():
            self._position, self._best = read_checkpoint(self._checkpoint, self._modules, self._optimiser)
            self._schedule.restore(self._position.schedule)
        history = History(self._folder, self._position.history)
        try:
            self._started = self._saved = time.monotonic()
            if not self._position.best:
                self._keep_if_best(self._evaluate())
            while not self._position.finished:
                self._run_epoch(history)
        finally:
            history.close()
        self._network.load_state_dict(self._best)
        drop_auxiliaries(self._network)
        position = self._position
        return FitResult(
            best_epoch=position.best_epoch,
            best=position.best,
            epochs=position.epoch,
            seconds=position.seconds,
            images_per_second=self._images / self._image_seconds if self._images else 0.0,
            micro_batch=position.micro_batch,
        )

    def _run_epoch(self, history: History) -> None:
        position, began = self._position, time.monotonic()
        self._network.train()
        if self._settings.freeze_norms:
            _set_norms_to_eval(self._network)
        self._begin_epoch(position.epoch)
        batches: list[Batch] = []
        for batch in self._train.epoch(position.epoch, position.step):
            batches.append(batch)
            last = position.step + len(batches) == self._train.steps
            if len(batches) < self._settings.accumulate and not last:
                continue
            self._step(batches)
            position.step += len(batches)
            batches = []
            done = position.epoch * self._train.steps + position.step
            self._progress("training", done, self._settings.epochs * self._train.steps)
            if time.monotonic() - self._saved > self._settings.checkpoint_seconds:
                self._check_weights(position.epoch * self._steps + (position.step - 1) // self._settings.accumulate)
                self._save()
        self._image_seconds += time.monotonic() - began
        # Not what the last step was told: a training may go on from between that step and this line.
        last_step = (position.epoch + 1) * self._steps - 1
        lr = self._learning_rate(last_step)
        self._check_weights(last_step)
        figures = self._evaluate()
        self._keep_if_best(figures)
        self._schedule.observe(figures[self._task.score_name])
        position.schedule = self._schedule.state()
        loss = position.loss_sum / position.loss_count
        position.epoch, position.step, position.loss_sum, position.loss_count = position.epoch + 1, 0, 0.0, 0
        stopped = 0 < self._settings.patience <= position.waited
        position.finished = stopped or position.epoch >= self._settings.epochs
        entry = {"epoch": position.epoch, "train_loss": loss, "lr": lr, "validation": figures}
        position.history = [*position.history, entry]
        history.add(entry)
        self._save()

    @property
    def _steps(self) -> int:
        """Steps of the optimiser in an epoch."""
        return math.ceil(self._train.steps / self._settings.accumulate)

    def _learning_rate(self, step: int) -> float:
        """At one of the optimiser's steps, counted from 0 over the whole training."""
        factor = learning_rate_factor(
            self._schedule, step=step, steps=self._settings.epochs * self._steps, warmup=self._settings.warmup
        )
        return self._settings.lr * factor

    def _step(self, batches: list[Batch]) -> None:
        position = self._position
        step = position.epoch * self._steps + position.step // self._settings.accumulate
        for group in self._optimiser.param_groups:
            group["lr"] = self._learning_rate(step) * group.get("lr_factor", 1.0)
        closed = isinstance(self._optimiser, ClosureOptimiser)
        if closed:
            with whole_batch_in_memory():
                loss = float(self._loss(batches).detach())
        else:
            loss = self._gradients(batches)
        images = sum(len(batch.rows) for batch in batches)
        if not math.isfinite(loss):
            raise self._diverged(step)
        if closed:
            self._step_with_closure(batches)
        else:
            if self._settings.clip_norm:
                nn.utils.clip_grad_norm_(self._network.parameters(), self._settings.clip_norm)
            self._optimiser.step()
        if "average" in self._modules:
            average = self._modules["average"]
            assert isinstance(average, AveragedModel)  # noqa: S101
            average.update_parameters(self._network)
        position.loss_sum += loss * images
        position.loss_count += images
        self._images += images

    def _gradients(self, batches: list[Batch]) -> float:
        """Mean loss over the batches' images, its gradient in the parameters; halves the portion if memory runs out."""
        position = self._position
        while True:
            self._optimiser.zero_grad()
            try:
                with self._drawing_as_this_step():
                    return self._losses.backward(batches, portion=position.micro_batch)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                largest = max(len(batch.rows) for batch in batches)
                portion = math.ceil((position.micro_batch or largest) / 2)
                if portion == position.micro_batch or largest == 1:
                    raise out_of_memory() from error
                position.micro_batch = portion
                self._progress(f"out of memory: going on with {portion} images at a time", 0, 0)

    def _loss(self, batches: list[Batch]) -> Tensor:
        """Mean loss over the batches' images with its graph; the same numbers at every call within a step."""
        with self._drawing_as_this_step():
            return self._losses.mean(batches)

    def _drawing_as_this_step(self) -> AbstractContextManager[None]:
        # What the network draws (dropout) depends on the step alone: a resumed training draws the same.
        return torch_randomness(self._settings.seed, "step", self._position.epoch, self._position.step)

    def _step_with_closure(self, batches: list[Batch]) -> None:
        position = self._position
        # The running statistics have seen this batch once, as in any other step; the mean and variance that normalise
        # are the batch's own at each call.
        with (
            running_statistics_kept(self._network),
            torch_randomness(self._settings.seed, "optimiser", position.epoch, position.step),
            whole_batch_in_memory(),
        ):
            self._optimiser.step(lambda: self._loss(batches))  # type: ignore[arg-type, return-value]

    def _evaluate(self) -> dict[str, float]:
        outputs: Outputs = compute_outputs(
            self._evaluated,
            self._validation,
            self._normalise,
            self._compute,
            condense=self._task.condense,
            progress=self._progress,
        )
        return self._task.evaluate(outputs.outputs, outputs.targets)

    @property
    def _evaluated(self) -> nn.Module:
        average = self._modules.get("average")
        return self._network if average is None else average.module  # type: ignore[return-value]

    def _keep_if_best(self, figures: dict[str, float]) -> None:
        position = self._position
        last = self._settings.keep == "last"
        if last or not position.best or self._rank(figures) > self._rank(position.best):
            position.best, position.waited = figures, 0
            position.best_epoch = position.epoch + 1 if position.step else 0
            self._best = copied(self._evaluated.state_dict())
        else:
            position.waited += 1

    def _rank(self, figures: dict[str, float]) -> tuple[float, float]:
        return figures[self._task.score_name], -figures["loss"]

    def _save(self) -> None:
        now = time.monotonic()
        self._position.seconds += now - self._started
        self._started = self._saved = now
        write_checkpoint(self._checkpoint, self._position, self._modules, self._best, self._optimiser)

    def _check_weights(self, step: int) -> None:
        # A finite loss may have a gradient that is not; such weights must not replace the last good checkpoint.
        if not all(bool(parameter.isfinite().all()) for parameter in self._network.parameters()):
            raise self._diverged(step)

    def _diverged(self, step: int) -> UserError:
        kept = f"; the checkpoint of epoch {self._position.epoch} is kept" if self._checkpoint.exists() else ""
        return UserError(
            f"the loss is no finite number any more at step {step + 1} (epoch {self._position.epoch + 1}){kept}",
            f"Try a lower learning rate (optimiser.lr={self._settings.lr / 10:.2g}), train.clip_norm=1 or a longer "
            "schedule.warmup.",
        )


def _set_norms_to_eval(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
