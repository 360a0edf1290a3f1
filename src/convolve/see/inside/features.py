"""The features by which a network tells images apart, one vector an image, of many images kept in the cache."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convolve.data.cache import discard, store
from convolve.errors import UserError
from convolve.networks.cost import cost_of
from convolve.networks.network import Network
from convolve.progress import Progress, silent
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.layers import captured, map_layers
from convolve.see.inside.subject import Subject
from convolve.training.engines import AT_ONCE, Runner
from convolve.training.engines.choice import checked_runner
from convolve.training.features import module_digest

_KIND = "inside-features"
# Multiply-adds; below, torch is done before an engine has converted the network.
_WORTH_CONVERTING = 200e9


def features_of(subject: Subject, images: Tensor) -> Tensor:
    """(N, D) float32 features on the CPU, without gradients: what enters the head of a classifier.

    Of other networks the means of the last layer with maps; without maps, what enters the last fully connected layer.

    Args:
        subject: its network in test mode.
        images: (N, C, H, W) in [0, 1].

    Raises:
        UserError: the network has neither maps nor a fully connected layer.
    """
    placed = subject.compute.images(images)
    with torch.inference_mode(), subject.compute.precision():
        if isinstance(subject.network, Network):
            features = subject.network.backbone(subject.normalise(placed))
        elif layers := map_layers(subject):
            with captured(subject.body, [layers[-1].name]) as kept:
                subject.logits(placed)
            features = subject.upright(kept[layers[-1].name]).mean(dim=(2, 3))
        else:
            features = _entering_last_linear(subject, placed)
    numbers: Tensor = features.float().flatten(1).cpu()
    return numbers


def gallery_features(
    subject: Subject, gallery: Gallery, *, rows: Sequence[int] | None = None, progress: Progress = silent
) -> NDArray[np.float32]:
    """(M, D) features of a gallery's images; computed once and kept in the cache.

    Args:
        subject: its network in test mode.
        gallery: images of the subject's size.
        rows: which; None = all.
        progress: told of every batch.

    Raises:
        UserError: the features are no numbers; or see `features_of`; or the cache has no room.
    """
    if rows is not None and len(rows) < len(gallery) <= 2 * len(rows):
        # Nearest images have asked for all of them, or will.
        return gallery_features(subject, gallery, progress=progress)[list(rows)]
    chosen = range(len(gallery)) if rows is None else rows
    weights = module_digest(subject.network)
    key = _key(subject, gallery, chosen, weights)

    def write(folder: Path) -> None:
        run = _runner(subject, gallery, chosen, weights, progress)
        batches = []
        for _, images in gallery.batches(AT_ONCE, chosen):
            batches.append(run(images).numpy())
            progress("computing features", sum(map(len, batches)), len(chosen))
        features = np.concatenate(batches)
        if not np.isfinite(features).all():
            raise UserError(
                "the features of some images are no numbers (NaN or infinite)",
                "The network's weights are damaged, or overflow; train it again with a lower learning rate.",
            )
        np.save(folder / "features.npy", features)

    folder = store(_KIND, key, write)
    try:
        return _load(folder, len(chosen))
    except (OSError, EOFError, ValueError):  # damaged on disk
        discard(_KIND, key)
        return _load(store(_KIND, key, write), len(chosen))


def standardised(features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(mean, spread) of each feature over the images, (D,) each; the spread of one that never changes is 1."""
    mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    # A feature that is constant but for rounding tells nothing, and must not be blown up.
    constant = spread <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
    return mean, np.where(constant, 1.0, spread)


def directions(
    features: NDArray[np.float32], mean: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N, D) standardised features of length 1; zeros where a vector is all zeros."""
    scaled = (features.astype(np.float64) - mean) / spread
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(scaled, length, out=np.zeros_like(scaled), where=length > 0)
    return unit


def _runner(subject: Subject, gallery: Gallery, rows: Sequence[int], weights: str, progress: Progress) -> Runner:
    network = subject.network
    if not isinstance(network, Network):
        return lambda images: features_of(subject, images)
    work = len(rows) * cost_of(network.backbone, channels=subject.channels, image_hw=subject.image_hw).multiply_adds
    compute = subject.compute
    if work < _WORTH_CONVERTING:
        compute = compute.model_copy(update={"engine": "torch"})
    normalise = subject.normalise
    sample = normalise(gallery.tensor(rows[:AT_ONCE]))
    key = f"{weights}/backbone"
    run = checked_runner(network.backbone, sample, compute, key=key, required=False, progress=progress)
    return lambda images: run(normalise(images)).flatten(1)


def _key(subject: Subject, gallery: Gallery, rows: Sequence[int], weights: str) -> str:
    # The preprocessing is a function without a name: two images tell it, as it is linear in each channel.
    levels = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, subject.channels, 1, 1)
    facts = [gallery.key, weights, subject.normalise(levels).tolist(), str(subject.compute), torch.__version__]
    return blake2b(repr(facts).encode() + np.array(rows, np.int64).tobytes(), digest_size=16).hexdigest()


def _load(folder: Path, rows: int) -> NDArray[np.float32]:
    features: NDArray[np.float32] = np.load(folder / "features.npy")
    if len(features) != rows:
        raise ValueError(f"cache entry {folder} does not hold what its key says")
    return features


def _entering_last_linear(subject: Subject, images: Tensor) -> Tensor:
    linear = [layer for layer in subject.network.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise UserError(
            "the network has neither maps nor a fully connected layer, so it has no features to compare images by",
            "Occlusion works for every network: --only occlusion.",
        )
    seen: list[Tensor] = []

    def note(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0])

    hook = linear[-1].register_forward_pre_hook(note)
    try:
        subject.logits(images)
    finally:
        hook.remove()
    return seen[-1]
