"""Features of frozen networks, computed once and kept in the cache."""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from convolve.data.cache import store
from convolve.training.inference import compute_outputs
from convolve.training.starts import Job


def frozen_features(job: Job, backbone: nn.Module, *, name: str) -> Tensor:
    """(N, D) float32 features of every image of the pack, in test mode, from the cache if they are there.

    Args:
        job: its images, preprocessing, and the key of its weights and images.
        backbone: (N, C, H, W) -> (N, D).
        name: tells these features from others of the same network.
    """
    key = blake2b(f"{job.features_key}/{name}".encode(), digest_size=16).hexdigest()

    def write(folder: Path) -> None:
        rows = np.arange(len(job.images))
        loader = job.in_order(rows)
        computed = compute_outputs(
            backbone, loader, job.preprocessing.normalise, job.compute, progress=job.progress, what="computing features"
        )
        np.save(folder / "features.npy", computed.outputs.numpy())

    return torch.from_numpy(np.load(store("features", key, write) / "features.npy"))
