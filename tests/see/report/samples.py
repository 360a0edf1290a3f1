"""Reports of made-up runs, to render and to read."""

import numpy as np
import torch

from convolve.see.report.content import DataSummary, Example, Member, NetworkFacts, Report
from convolve.tasks.classify.one_label import OneLabel
from convolve.tasks.classify.several_labels import SeveralLabels

RECIPE = """\
seed = 0

[data]
path = "cells"

[train]
epochs = 12
batch_size = 32

[optimiser]
name = "adamw"
lr = 0.001
weight_decay = 0.05

[augment]
preset = "photos"
flip = true
"""


def one_label_results(classes, images=372, seed=0):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(len(classes), (images,), generator=generator)
    outputs = torch.randn(images, len(classes), generator=generator)
    outputs += 3 * torch.nn.functional.one_hot(targets, len(classes))
    return OneLabel(classes).results(2 * outputs, targets, temperature=1.8)


def several_label_results(classes, images=60):
    generator = torch.Generator().manual_seed(0)
    outputs = 2 * torch.randn(images, len(classes), generator=generator)
    targets = torch.bernoulli(outputs.sigmoid(), generator=generator)
    return SeveralLabels(classes).results(outputs, targets, temperature=1.1)


def images(count, side):
    generator = np.random.default_rng(0)
    ramps = np.linspace(0, 255, side)[:, None, None] * np.ones((1, side, 3))
    return [np.uint8(np.roll(ramps, int(shift), axis=0)) for shift in generator.integers(0, side, count)]


def sample(classes=("mono", "poly", "thin film"), *, results=None, **changes):
    history = [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "validation": {"loss": 0.2 + 1 / epoch, "accuracy": 0.9 - 0.5 / epoch},
            "learning_rate": 1e-3,
            "seconds": 2.5,
        }
        for epoch in range(1, 13)
    ]
    examples = [
        Example(image, f"cells/image_{number:03d}.png", classes[0], classes[-1], 0.97 - 0.03 * number)
        for number, image in enumerate(images(7, 96))
    ]
    content = {
        "title": "classify/cells",
        "command": "convolve train cells network=resnet18 seed=0",
        "created": "24 November 2026, 04:20",
        "recipe_toml": RECIPE,
        "data": DataSummary(
            name="cells",
            form="class folders",
            classes=classes,
            counts={split: [n] * len(classes) for split, n in (("train", 500), ("validation", 90), ("test", 124))},
            images={"train": 1500, "validation": 270, "test": 372},
            left_out=[("cells/broken.png", "cut short"), ("cells/notes.txt", "not an image")],
            left_out_count=2,
            duplicates=3,
        ),
        "network": NetworkFacts(
            name="resnet18",
            source="He et al., CVPR 2016",
            parameters=11_178_051,
            trained_parameters=11_178_051,
            weights="ImageNet-1k",
            licence="BSD-3-Clause",
            start="finetune",
            method="All of its parameters were fine-tuned.",
            image_hw=(96, 128),
            fit="pad",
            channels=3,
        ),
        "results": results or one_label_results(classes),
        "split": "test",
        "reasons": ("The images have no test split, so 15 % were kept for one.",),
        "plain_sheet": images(8, 32),
        "augmented_sheet": images(8, 32),
        "history": history,
        "best_epoch": 10,
        "mistakes": examples,
        "uncertain": examples[::-1],
        "timings": {"reading": 1.2, "training": 95.0},
        "environment": {"python": "3.11.2", "gpus": [], "packages": {"convolve": "0.1.0", "torch": "2.14.0"}},
    }
    return Report(**content | changes)


def folds(classes, count=5):
    return [Member(f"fold {number}", one_label_results(classes, 75, seed=number)) for number in range(1, count + 1)]
