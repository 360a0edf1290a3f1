import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from convolve.data.activation_batches import ActivationBatches
from convolve.data.preprocessing import Preprocessing
from convolve.errors import UserError
from convolve.networks.network import Network
from convolve.networks.stages import Stage, find_stages, join
from convolve.networks.symmetric_features import SymmetricFeatures, Symmetry, symmetry_in_words
from convolve.training.features import frozen_features, frozen_outputs
from convolve.training.fit import FitResult
from convolve.training.linear_head import fit_probe
from convolve.training.starts import STARTS, Division, Job, Trained
from convolve.training.starts.scratch import finished, fit_all, fit_on

_MOST_VIEWS = 8


@STARTS.register("finetune")
class Finetune:
    """The linear classifier on frozen features first, then all of the network, or its last stages, trained from there.

    A random head would send large gradients through good features and spoil them: Kumar et al., "Fine-Tuning can
    Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022 (LP-FT). The classifier alone is one of
    the candidates of the choice on validation images, so fine-tuning that only harms is undone.

    Stages that stay as they are see every image once; the last stages train on what came out of them. A stage is a run
    of layers at one resolution (`convolve.networks.stages`).

    Args:
        stages: "all", or how many of the last stages are trained below the head; 0 = the head only.
        lr_factors: a number d: every stage learns d times as fast as the one above it, the head at the full rate; or a
            list with the factor of each trained stage, from the lowest to the head (Caffe's lr_mult).
        gradual: train the head first, and one more stage below it after each equal share of the epochs; in the last
            epoch all are trained: Howard and Ruder, "Universal Language Model Fine-tuning ...", ACL 2018.
        freeze_norms: batch norm keeps the statistics it came with, so that the first step starts from exactly the
            function that the classifier was fitted on, and small batches do not blur them.
        views: how many differently augmented views of each image go through the frozen stages, epoch after epoch the
            next one; 0 = one an epoch, at most 8.
        probe: fit the linear classifier first; otherwise the head starts from random weights.
        symmetry: the trained network's answer is a mean over copies of an image that show the same: "none", "mirror" (2
            copies), "flips" (4) or "turns" (8: also quarter turns); as many times the work in prediction.
    """

    def __init__(
        self,
        *,
        stages: Literal["all"] | Annotated[int, Field(ge=0)] = "all",
        lr_factors: Annotated[float, Field(gt=0)] | list[Annotated[float, Field(gt=0)]] = 1.0,
        gradual: bool = False,
        freeze_norms: bool = True,
        views: Annotated[int, Field(ge=0)] = 0,
        probe: bool = True,
        symmetry: Symmetry = "none",
    ) -> None:
        self._stages = stages
        self._lr_factors = lr_factors
        self._gradual = gradual
        self._freeze_norms = freeze_norms
        self._views = views
        self._probe = probe
        self._symmetry: Symmetry = symmetry

    def divide(self, network: Network, preprocessing: Preprocessing) -> Division:
        """Cut the network below the lowest stage that is trained.

        Raises:
            UserError: it has fewer stages, cannot be cut, or the factors are for another number of stages.
        """
        frozen, trained = self._cut(network, preprocessing)
        self._factors(trained)
        most = self._views or _MOST_VIEWS
        if self._stages == 0:
            return Division(frozen=network.backbone, trained=network.head, most_views=most)
        if not frozen:
            return Division(frozen=None, trained=network)
        upper = nn.Sequential(join(trained), network.head)
        return Division(frozen=join(frozen), trained=upper, most_views=most)

    def train(self, job: Job) -> Trained:
        """Fit the head, unless a checkpoint is past that, then train what is to be trained."""
        started = time.monotonic()
        job = replace(job, settings=replace(job.settings, freeze_norms=self._freeze_norms))
        division = self.divide(job.network, job.preprocessing)
        if self._probe and not (job.folder / "checkpoint.safetensors").exists():
            _fit_head(job)
        parts = self._parts(job.network, job.preprocessing)
        lr_factors = list(zip(parts, self._factors(parts[:-1]), strict=True))
        begin_epoch = unfreezing(parts, epochs=job.settings.epochs) if self._gradual else lambda epoch: None
        if division.frozen is None:
            result = fit_all(job, lr_factors, begin_epoch)
        else:
            result = _fit_upper(job, division, division.frozen, lr_factors, begin_epoch)
        notes: tuple[str, ...] = ()
        if self._probe and result.best_epoch == 0:
            notes = (
                "Fine-tuning improved nothing on the validation images: the classifier on frozen features is kept.",
            )
        # Besides the steps: features, the head and the activations, where this session had to compute them.
        seconds = max(result.seconds, time.monotonic() - started)
        if self._symmetry != "none":
            outer = SymmetricFeatures(job.network.backbone, self._symmetry)
            job = replace(job, network=Network(outer, job.network.head, features=job.network.features))
        method = self._method(stages=len(parts) - 1, whole=division.frozen is None, kept_probe=bool(notes))
        return replace(finished(job, result, trained=division.trained, method=method, notes=notes), seconds=seconds)

    def _method(self, *, stages: int, whole: bool, kept_probe: bool) -> str:
        if whole:
            tuned = "All of its parameters were fine-tuned"
        elif stages:
            tuned = f"Of its stages, the last {stages} and the head were fine-tuned, and those below left as they were"
        else:
            tuned = "The head was trained, and the backbone left as it was"
        gradual = ", one stage after another from the head down" if self._gradual else ""
        sentences = [f"{tuned}{gradual}."]
        if self._probe:
            sentences.append(
                "Before that, the head was fitted to the features of the training images by logistic regression, its "
                "penalty chosen by cross-validation."
            )
        if kept_probe:
            sentences.append("Fine-tuning improved nothing on the validation images, so this classifier was kept.")
        if self._symmetry != "none":
            sentences.append(f"In prediction, features were {symmetry_in_words(self._symmetry)}.")
        return " ".join(sentences)

    @property
    def _needs_stages(self) -> bool:
        """Whether the network must be a chain; where all is trained alike, any will do."""
        return self._stages not in ("all", 0) or self._gradual or self._lr_factors != 1.0

    def _cut(self, network: Network, preprocessing: Preprocessing) -> tuple[Sequence[Stage], Sequence[Stage]]:
        """The frozen stages and the trained ones, from the lowest; neither where the network need not be a chain."""
        if self._stages == 0 or not self._needs_stages:
            return (), ()
        stages = find_stages(network.backbone, channels=preprocessing.channels, image_hw=preprocessing.image_hw)
        wanted = len(stages) if self._stages == "all" else self._stages
        if wanted > len(stages):
            raise UserError(
                f"start.options.stages={wanted}: the network has {len(stages)}: {_listed(stages)}",
                f'Give at most {len(stages)}, or "all".',
            )
        return stages[: len(stages) - wanted], stages[len(stages) - wanted :]

    def _parts(self, network: Network, preprocessing: Preprocessing) -> list[nn.Module]:
        """What is trained, from the lowest stage to the head."""
        _, trained = self._cut(network, preprocessing)
        return [*(join([stage]) for stage in trained), network.head]

    def _factors(self, trained: Sequence[object]) -> list[float]:
        """Of the learning rate of each trained stage, and of the head."""
        if not isinstance(self._lr_factors, list):
            return [self._lr_factors ** (len(trained) - depth) for depth in range(len(trained) + 1)]
        if len(self._lr_factors) != len(trained) + 1:
            raise UserError(
                f"start.options.lr_factors has {len(self._lr_factors)} numbers for {len(trained)} trained stages and "
                f"the head: {_listed([*trained, 'head'])}",
                f"Give {len(trained) + 1} numbers, from the lowest stage to the head, or one number.",
            )
        return self._lr_factors


def unfreezing(parts: Sequence[nn.Module], *, epochs: int) -> Callable[[int], None]:
    """Gradual unfreezing: what to do before each epoch, counted from 0, so that its share of the parts is trained.

    Args:
        parts: from the lowest to the head.
        epochs: in all; in the last one all parts are trained.
    """

    def begin(epoch: int) -> None:
        unfrozen = math.ceil((epoch + 1) * len(parts) / epochs)
        for depth, part in enumerate(parts):
            frozen = depth < len(parts) - unfrozen
            part.requires_grad_(not frozen)
            if frozen:
                part.eval()  # its norms' statistics stay as well
                for parameter in part.parameters():
                    parameter.grad = None

    return begin


def _fit_head(job: Job) -> None:
    if not isinstance(job.network.head, nn.Linear):
        raise UserError(
            f"start=finetune: a linear classifier does not fit a head of {type(job.network.head).__name__}",
            "Start from the head's own weights: start.options.probe=false.",
        )
    features = frozen_features(job, job.network.backbone)
    rows = np.sort(job.train_rows)
    probe = fit_probe(
        features[torch.from_numpy(rows)],
        job.targets[torch.from_numpy(rows)],
        job.folds[rows],
        job.task,
        progress=lambda done, total: job.progress("fitting the classifier", done, total),
    )
    job.network.head.load_state_dict(probe.head.state_dict())


def _fit_upper(
    job: Job,
    division: Division,
    frozen: nn.Module,
    lr_factors: Sequence[tuple[nn.Module, float]],
    begin_epoch: Callable[[int], None],
) -> FitResult:
    """Train the upper part on what comes out of the frozen one, which is computed first, unless the cache has it."""
    draws: list[int | None] = [None]
    if job.augmentation is not None:
        draws = list(range(division.views(epochs=job.settings.epochs, augmented=True)))
    views = [frozen_outputs(job, frozen, rows=job.train_rows, draw=draw, half=True) for draw in draws]
    plain = frozen_outputs(job, frozen, rows=job.validation_rows, draw=None, half=True)

    def batches(views: Sequence[NDArray[np.floating]], rows: NDArray[np.int64], *, shuffle: bool) -> ActivationBatches:
        seed = job.settings.seed
        return ActivationBatches(views, job.targets, rows, batch_size=job.batch_size, seed=seed, shuffle=shuffle)

    return fit_on(
        job,
        division.trained,
        train=batches(views, job.train_rows, shuffle=True),
        validation=batches([plain], job.validation_rows, shuffle=False),
        normalise=_as_they_are,
        lr_factors=lr_factors,
        begin_epoch=begin_epoch,
    )


def _as_they_are(activations: Tensor) -> Tensor:
    return activations


def _listed(stages: Sequence[object]) -> str:
    return "; ".join(map(str, stages))
