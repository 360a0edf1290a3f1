import time
from typing import Literal

import numpy as np
import torch

from convolve.networks.joined_features import JoinedFeatures, stage_layers
from convolve.networks.network import Network
from convolve.training.features import frozen_features
from convolve.training.linear_head import fit_probe
from convolve.training.starts import STARTS, Job, Trained


@STARTS.register("features")
class Features:
    """Frozen features and a linear classifier: nothing of the backbone is trained.

    Training and validation images are both fitted on: the penalty and the temperature come from cross-validation
    within them, so none need be set aside for choosing.

    Args:
        layers: "last" (the features that the network's own classifier reads) or "stages" (these, and the spatial mean
            of the last layer at each resolution).
    """

    def __init__(self, *, layers: Literal["last", "stages"] = "stages") -> None:
        self._layers = layers

    def train(self, job: Job) -> Trained:
        """Compute the features, unless the cache has them, and fit the head."""
        started = time.monotonic()
        backbone = job.network.backbone
        names: tuple[str, ...] = ()
        if self._layers == "stages":
            names = stage_layers(backbone, channels=job.preprocessing.channels, image_hw=job.preprocessing.image_hw)
            backbone = JoinedFeatures(backbone, names)
        features = frozen_features(job, backbone, name=",".join(names))
        rows = np.sort(np.concatenate([job.train_rows, job.validation_rows]))
        probe = fit_probe(
            features[torch.from_numpy(rows)],
            job.targets[torch.from_numpy(rows)],
            job.folds[rows],
            job.task,
            progress=lambda done, total: job.progress("fitting the classifier", done, total),
        )
        return Trained(
            network=Network(backbone, probe.head, features=features.shape[1]),
            temperature=probe.temperature,
            validation=probe.figures,
            chosen_on=f"{len(rows)} images by cross-validation (each judged by a classifier fitted without it)",
            epochs=0,
            seconds=time.monotonic() - started,
            images_per_second=len(features) / (time.monotonic() - started),
            features=features,
            notes=(f"The classifier's penalty, chosen by cross-validation among training images: {probe.penalty:g}.",),
        )
