"""Outputs of layers that are not trained, computed once and kept in the cache."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convolve.data.augment.transform import Mixing
from convolve.data.cache import discard, store
from convolve.data.loader import Loader
from convolve.errors import UserError, shown
from convolve.networks.cost import cost_of
from convolve.training.compute import Compute
from convolve.training.engines.choice import checked_runner
from convolve.training.inference import in_test_mode
from convolve.training.starts import Job, Trained

_KIND = "features"
# Multiply-adds. An engine takes seconds to convert a network; below, torch is done before that: a rule without a clock,
# so that the same training computes the same way every time.
_WORTH_CONVERTING = 200e9


def frozen_features(job: Job, backbone: nn.Module) -> Tensor:
    """(N, D) float32 features of every image of the pack, in test mode, from the cache if they are there.

    Args:
        job: its images, their preprocessing, and how to compute.
        backbone: (N, C, H, W) -> (N, D).
    """
    features = frozen_outputs(job, backbone, rows=np.arange(len(job.images)), draw=None)
    return torch.from_numpy(np.array(features))


def frozen_outputs(
    job: Job, module: nn.Module, *, rows: NDArray[np.int64], draw: int | None, half: bool = False
) -> NDArray[np.floating]:
    """What a module that is not trained makes of these images, in test mode, from the cache if it is there.

    Args:
        job: its images, their preprocessing and augmentation, and how to compute.
        module: (N, C, H, W) normalised images -> (N, ...) feature vectors or maps; left as it is.
        rows: (M,) of the pack, at least one; may repeat.
        draw: None for the images as they are; else augmented, exactly as in that epoch of a training, from 0.
        half: keep float16, half the size; what is beyond its +-65,504 becomes that.

    Returns:
        (M, ...) float32, or float16 with `half`, row by row as `rows`: read-only and mapped from disk.

    Raises:
        UserError: the augmentation mixes images, so that one image's outputs depend on its batch; the engine that the
            recipe names cannot run the module; or the cache has no room.
    """
    augmented = draw is not None and job.augmentation is not None
    if augmented:
        _check_augmentation(job)
    seen = f"{job.augmentation_key}/{job.settings.seed}/{draw}" if augmented else ""
    weights = module_digest(module)
    compute = _compute(job, module)
    facts = [job.images_key, weights, str(compute), job.engine_required, torch.__version__, seen, half]
    key = blake2b(repr(facts).encode() + rows.astype(np.int64).tobytes(), digest_size=16).hexdigest()
    loader = Loader(
        job.images,
        job.targets,
        rows,
        batch_size=job.batch_size,
        seed=job.settings.seed,
        augmentation=job.augmentation if augmented else None,
        shuffle=False,
    )

    def write(folder: Path) -> None:
        batches = _computed(job, module, loader, compute, epoch=draw or 0, key=weights, what="computing frozen layers")
        _write(folder / "outputs.npy", batches, rows=len(rows), half=half)

    folder = store(_KIND, key, write)
    try:
        return _load(folder, rows=len(rows))
    except (OSError, EOFError, ValueError):  # damaged on disk
        discard(_KIND, key)
        return _load(store(_KIND, key, write), rows=len(rows))


def outputs_of(trained: Trained, job: Job, rows: NDArray[np.int64]) -> Tensor:
    """(M, K) float32 outputs of a trained network for rows (M,) of the pack, at least one."""
    if trained.features is None:
        return network_outputs(job, trained.network, rows, what="testing")
    with torch.inference_mode():
        outputs: Tensor = trained.network.head.cpu()(trained.features[torch.from_numpy(rows)])
    return outputs.float()


def network_outputs(job: Job, network: nn.Module, rows: NDArray[np.int64], *, what: str) -> Tensor:
    """(M, K) float32 outputs of a network that is trained already, by the fastest engine at hand; nothing is kept.

    Args:
        job: its images, their preprocessing, and how to compute.
        network: (N, C, H, W) -> (N, K); left as it is.
        rows: (M,) of the pack, at least one.
        what: what to tell the progress.
    """
    compute, loader = _compute(job, network), job.in_order(rows)
    batches = _computed(job, network, loader, compute, epoch=0, key=module_digest(network), what=what)
    return torch.from_numpy(np.concatenate(list(batches)))


def module_digest(module: nn.Module) -> str:
    """Of a module's layers and weights: the same for the same function of the images."""
    digest = blake2b(repr(module).encode(), digest_size=16)
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _check_augmentation(job: Job) -> None:
    assert job.augmentation is not None  # noqa: S101
    mixing = [name for name, transform in job.augmentation.transforms.items() if isinstance(transform, Mixing)]
    if mixing:
        raise UserError(
            f"augment.{shown(mixing)} mixes images with one another: outputs of frozen layers cannot be computed ahead",
            f"Leave it out: {' '.join(f'augment.{name}=false' for name in mixing)}",
        )


def _compute(job: Job, module: nn.Module) -> Compute:
    """How a job computes a module: one answer for all of its images, so that none differ by the engine."""
    (height, width), channels = job.preprocessing.image_hw, job.preprocessing.channels
    work = len(job.images) * cost_of(module, channels=channels, image_hw=(height, width)).multiply_adds
    if job.engine_required or work >= _WORTH_CONVERTING:
        return job.compute
    return job.compute.model_copy(update={"engine": "torch"})


def _computed(
    job: Job, module: nn.Module, loader: Loader, compute: Compute, *, epoch: int, key: str, what: str
) -> Iterator[NDArray[np.float32]]:
    def images(step: int) -> Tensor:
        return job.preprocessing.normalise(loader.batch(epoch, step).images)

    with in_test_mode(module):
        run = checked_runner(module, images(0), compute, key=key, required=job.engine_required, progress=job.progress)
        for step in range(loader.steps):
            yield run(images(step)).numpy()
            job.progress(what, step + 1, loader.steps)


def _write(path: Path, batches: Iterator[NDArray[np.float32]], *, rows: int, half: bool) -> None:
    dtype = np.dtype(np.float16 if half else np.float32)
    largest = float(np.finfo(np.float16).max)
    # Written, not mapped: on a full disk a write raises an error, where a mapped page would kill the process.
    with path.open("wb") as file:
        for number, batch in enumerate(batches):
            if number == 0:
                header = {"descr": dtype.str, "fortran_order": False, "shape": (rows, *batch.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            kept = batch.clip(-largest, largest) if half else batch
            file.write(np.ascontiguousarray(kept, dtype).data)


def _load(folder: Path, *, rows: int) -> NDArray[np.floating]:
    outputs: NDArray[np.floating] = np.load(folder / "outputs.npy", mmap_mode="r")
    if len(outputs) != rows:
        raise ValueError(f"cache entry {folder} does not hold what its key says")
    return outputs
