"""A training of a second: 8 x 8 images of three classes that a small network can tell apart."""

import numpy as np
import torch
from torch import nn

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.loader import Loader
from convolve.data.preprocessing import Preprocessing
from convolve.progress import silent
from convolve.tasks.classify.one_label import OneLabel
from convolve.training.compute import Compute
from convolve.training.fit import Fit, FitSettings
from convolve.training.optimisers import OPTIMISERS, parameter_groups
from convolve.training.schedules import SCHEDULES

GREY = Preprocessing(image_hw=(8, 8), channels=1, mean=(0.5,), std=(0.5,))
TASK = OneLabel(("a", "b", "c"))
IMAGES = 48


def images_and_targets():
    generator = np.random.default_rng(0)
    labels = np.arange(IMAGES) % 3
    images = generator.integers(0, 160, (IMAGES, 8, 8, 1), dtype=np.uint8)
    for row, label in enumerate(labels):
        images[row, :, 2 * label : 2 * label + 3] += 80
    return images, torch.from_numpy(labels)


def loader(rows, *, batch_size=8, augment=None, shuffle=True):
    images, targets = images_and_targets()
    augmentation = build_augmentation(augment, fill=(127,)) if augment else None
    rows = np.asarray(rows, dtype=np.int64)
    return Loader(images, targets, rows, batch_size=batch_size, seed=0, augmentation=augmentation, shuffle=shuffle)


def convolutional(*, norm=True, dropout=0.3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=not norm),
            nn.BatchNorm2d(4) if norm else nn.Identity(),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(64, 3),
        )


def make_fit(
    folder,
    network,
    *,
    settings=None,
    train=None,
    schedule="constant",
    optimiser="sgd",
    compute=None,
    progress=silent,
    task=TASK,
    weight_decay=5e-4,
    **options,
):
    """A Fit on 32 training and 16 validation images; options are the optimiser's."""
    compute, settings = compute or Compute(), settings or FitSettings(epochs=3, lr=0.05)
    compute.place(network)
    return Fit(
        network=network,
        task=task,
        train=train or loader(range(32)),
        validation=loader(range(32, IMAGES), shuffle=False),
        normalise=GREY.normalise,
        optimiser=OPTIMISERS[optimiser].build(parameter_groups(network, weight_decay), settings.lr, **options),
        schedule=SCHEDULES[schedule](),
        compute=compute,
        settings=settings,
        folder=folder,
        progress=progress,
    )
