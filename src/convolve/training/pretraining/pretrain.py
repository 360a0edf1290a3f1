"""Train a backbone on images without labels, by the one training loop, and keep the result."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convolve.data.augment.augmentation import Augmentation
from convolve.data.loader import Loader
from convolve.data.preprocessing import Preprocessing
from convolve.errors import UserError
from convolve.networks.network import Network
from convolve.progress import Progress
from convolve.randomness import numpy_generator, torch_randomness
from convolve.run.tensors import read_tensors, write_tensors
from convolve.training.compute import Compute
from convolve.training.fit import Fit, FitResult, FitSettings
from convolve.training.optimisers import OPTIMISERS, parameter_groups
from convolve.training.pretraining import Method
from convolve.training.pretraining.views import Views, normalise_views
from convolve.training.schedules import SCHEDULES

# Enough to see how the figures move; they say nothing about labels.
_WATCHED = 512
_SHOWN = 400_000
_WARMUP = 0.05
_CLIP_NORM = 5.0


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Everything one pre-training needs.

    Attributes:
        network: its backbone is trained in place, its head is left as it is.
        method: the task without labels.
        images: (N, H, W, C) uint8, the pack.
        rows: of the pack, the images that are learned from.
        augmentation: that the views are drawn from.
        preprocessing: normalises images.
        compute: where and how.
        epochs: passes over the images.
        batch_size: images per forward pass.
        seed: of order, augmentation and the weights beside the backbone.
        lr: highest learning rate; None = the method's.
        checkpoint_seconds: at most so long between two checkpoints.
        folder: for checkpoints, history and the result; exists.
        progress: told how far it is.
    """

    network: Network
    method: Method
    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    augmentation: Augmentation
    preprocessing: Preprocessing
    compute: Compute
    epochs: int
    batch_size: int
    seed: int
    lr: float | None = None
    checkpoint_seconds: float = 60.0
    folder: Path
    progress: Progress

    def views(self, rows: NDArray[np.int64], *, shuffle: bool) -> Views:
        """Batches of views of these images."""
        nothing = torch.zeros(len(self.images))
        plain = Loader(self.images, nothing, rows, batch_size=self.batch_size, seed=self.seed, shuffle=shuffle)
        return Views(plain, self.method, self.augmentation, seed=self.seed)


@dataclass(frozen=True)
class Pretrained:
    """What a pre-training came to.

    Attributes:
        images: how many were learned from.
        epochs: passes over them.
        seconds: spent, over all sessions.
        figures: of the method, after the last epoch, on up to 512 of the images.
    """

    images: int
    epochs: int
    seconds: float
    figures: dict[str, float]


def pretrain(work: Pretraining) -> Pretrained:
    """Train the backbone, or go on from the folder's checkpoint, or load what was finished there.

    Raises:
        UserError: there are fewer than two images, the embeddings collapsed, or the loss is no number any more.
    """
    kept = work.folder / "backbone.safetensors"
    if kept.exists():
        tensors, card = read_tensors(kept, "backbone")
        work.network.backbone.load_state_dict(tensors)
        return Pretrained(**card)
    if len(work.rows) < 2:
        raise UserError(f"{len(work.rows)} images are too few to pre-train on", "Add images; thousands are usual.")
    result = _fit(work)
    outcome = Pretrained(len(work.rows), result.epochs, result.seconds, result.best)
    write_tensors(kept, "backbone", work.network.backbone.state_dict(), vars(outcome))
    (work.folder / "checkpoint.safetensors").unlink(missing_ok=True)
    return outcome


def images_per_second(work: Pretraining, *, steps: int) -> float:
    """How fast training would be, both views of an image counted as one; trains the network a little, so give a copy.

    Args:
        work: its folder is not used.
        steps: to measure, after one more to warm up.
    """
    trained, views = work.compute.place(_network(work)).train(), work.views(work.rows, shuffle=True)
    optimiser = torch.optim.SGD(trained.parameters(), lr=0.0)
    images, started = 0, time.perf_counter()
    for step in range(1 + steps):
        if step == 1:
            images, started = 0, time.perf_counter()
        batch = views.batch(0, step % views.steps)
        optimiser.zero_grad()
        inputs = work.compute.images(normalise_views(work.preprocessing)(batch.images))
        with work.compute.precision():
            outputs = trained(inputs)
        work.method.losses(outputs, batch.targets).mean().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        images += len(batch.rows)
    return images / (time.perf_counter() - started)


def _network(work: Pretraining) -> nn.Module:
    with torch_randomness(work.seed, "pre-training"):
        return work.method.network(
            work.network.backbone,
            features=work.network.features,
            channels=work.preprocessing.channels,
            image_hw=work.preprocessing.image_hw,
        )


def _fit(work: Pretraining) -> FitResult:
    preprocessing, method = work.preprocessing, work.method
    trained = _network(work)
    lr = method.lr if work.lr is None else work.lr
    work.compute.place(trained)
    progress = work.progress
    return Fit(
        network=trained,
        task=method,
        train=work.views(work.rows, shuffle=True),
        validation=work.views(_spread(work.rows, _WATCHED), shuffle=False),
        normalise=normalise_views(preprocessing),
        optimiser=OPTIMISERS["adamw"].build(parameter_groups(trained, method.weight_decay), lr),
        schedule=SCHEDULES["cosine"](),
        compute=work.compute,
        settings=FitSettings(
            epochs=work.epochs,
            lr=lr,
            warmup=_WARMUP,
            clip_norm=_CLIP_NORM,
            checkpoint_seconds=work.checkpoint_seconds,
            keep="last",
            seed=work.seed,
        ),
        folder=work.folder,
        progress=lambda what, done, total: progress("pre-training" if what == "training" else what, done, total),
        begin_epoch=method.begin_epoch,
    ).run()


def some_rows(
    labelled: NDArray[np.int64], unlabelled: NDArray[np.int64], *, at_most: int, seed: int
) -> NDArray[np.int64]:
    """The rows to pre-train on, ascending: the labelled ones first, then of the others what the seed draws.

    Args:
        labelled: all of them are taken, or as many as there may be.
        unlabelled: the others.
        at_most: how many in all; 0 = every one.
        seed: draws.
    """
    generator = numpy_generator(seed, "pre-training images")
    others, first = generator.permutation(unlabelled), generator.permutation(labelled)
    drawn = np.concatenate([first, others])
    return np.sort(drawn[:at_most] if at_most else drawn)


def _spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64))]


def usual_epochs(images: int) -> int:
    """Passes over so many images where time is no matter: about 400,000 images in all, 5 to 200 passes."""
    return int(np.clip(round(_SHOWN / images), 5, 200))
