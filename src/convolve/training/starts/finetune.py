from dataclasses import replace

import numpy as np
import torch

from convolve.training.features import frozen_features
from convolve.training.linear_head import fit_probe
from convolve.training.starts import STARTS, Job, Trained
from convolve.training.starts.scratch import finished, fit_all


@STARTS.register("finetune")
class Finetune:
    """The linear classifier on frozen features first, then everything is trained from there.

    A random head would send large gradients through good features and spoil them: Kumar et al., "Fine-Tuning can
    Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022 (LP-FT). The classifier alone is one of
    the candidates of the choice on validation images, so fine-tuning that only harms is undone.

    Args:
        freeze_norms: batch norm keeps the statistics it came with, so that the first step starts from exactly the
            function that the classifier was fitted on, and small batches do not blur them.
    """

    def __init__(self, *, freeze_norms: bool = True) -> None:
        self._freeze_norms = freeze_norms

    def train(self, job: Job) -> Trained:
        """Fit the head, unless a checkpoint is past that, then train all parameters."""
        notes: tuple[str, ...] = ()
        if not (job.folder / "checkpoint.safetensors").exists():
            features = frozen_features(job, job.network.backbone, name="")
            rows = np.sort(job.train_rows)
            probe = fit_probe(
                features[torch.from_numpy(rows)],
                job.targets[torch.from_numpy(rows)],
                job.folds[rows],
                job.task,
                progress=lambda done, total: job.progress("fitting the classifier", done, total),
            )
            job.network.head.load_state_dict(probe.head.state_dict())
        result = fit_all(replace(job, settings=replace(job.settings, freeze_norms=self._freeze_norms)))
        if result.best_epoch == 0:
            notes = (
                "Fine-tuning improved nothing on the validation images: the classifier on frozen features is kept.",
            )
        return finished(job, result, notes)
