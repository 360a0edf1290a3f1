"""Training throughput against plain PyTorch as its tutorials write it: same network, batch, augmentation and step.

    python benchmarks/throughput.py mnist FOLDER_OF_IDX_FILES
    python benchmarks/throughput.py photos FOLDER_WITH_TRAIN

Both ways run in turn in one process, several rounds; what counts is the median of the rounds' ratios. Decoding happens
before the clock starts for convolve (once, into its cache) and within each epoch for the tutorial: that is the design.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.content import content_hashes
from convolve.data.loader import Loader
from convolve.data.pack import pack
from convolve.data.preprocessing import Preprocessing
from convolve.data.reading import read_dataset
from convolve.networks.catalogue import find_architecture
from convolve.progress import silent
from convolve.tasks.classify.one_label import OneLabel
from convolve.training.calibrate import calibrate, candidates
from convolve.training.fit import Fit, FitSettings
from convolve.training.optimisers import OPTIMISERS, parameter_groups
from convolve.training.schedules.constant import Constant

_TURN, _SHIFT, _SIZE, _SHEAR = 12.0, 0.08, 0.1, 8.0


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """Arrays as the tutorials serve them: one PIL image at a time, transformed by itself."""

    def __init__(self, images: np.ndarray, labels: list[int], transform: Callable[[object], torch.Tensor]) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index].squeeze())), self.labels[index]


def tutorial(network: nn.Module, dataset: Dataset[tuple[torch.Tensor, int]], batch_size: int, steps: int) -> float:
    """Images a second of the loop that every PyTorch tutorial has, workers started before the clock."""
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, num_workers=2, drop_last=True)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    network.train()
    started, done = 0.0, 0
    for number, (images, labels) in enumerate(loader):
        if number == 1:
            started = time.perf_counter()
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimiser.step()
        done += number >= 1
        if done == steps:
            break
    return done * batch_size / (time.perf_counter() - started)


def ours(
    network: nn.Module,
    data: tuple[np.ndarray, torch.Tensor],
    task: OneLabel,
    spec: dict,
    shape: Preprocessing,
    batch: int,
    steps: int,
) -> float:
    """Images a second of convolve's training loop, calibrated as `convolve train` does it."""
    images, targets = data
    rows = np.arange(min(len(images), batch * steps))
    first = torch.from_numpy(np.array(images[:batch])).permute(0, 3, 1, 2).float() / 255
    ways = candidates("cpu", memory_format="auto", precision="auto", compile_network="off")
    chosen = calibrate(
        network, task, shape.normalise(first), targets[:batch], ways, trained=True, seconds=1.0, progress=silent
    ).chosen
    loader = Loader(
        images,
        targets,
        rows,
        batch_size=batch,
        seed=0,
        augmentation=build_augmentation(spec, fill=shape.fill),
        shuffle=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        result = Fit(
            network=network,
            task=task,
            train=loader,
            validation=Loader(images, targets, rows[:batch], batch_size=batch, seed=0, shuffle=False),
            normalise=shape.normalise,
            optimiser=OPTIMISERS["sgd"].build(parameter_groups(network, 5e-4), 0.01),
            schedule=Constant(),
            compute=chosen,
            settings=FitSettings(epochs=1, lr=0.01),
            folder=Path(folder),
            progress=silent,
        ).run()
    return result.images_per_second


def main() -> None:
    """Measure, and print each round and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["mnist", "photos"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    side, batch, steps, name = (
        (28, 128, 150, "lenet5") if arguments.what == "mnist" else (224, 32, 8, "torchvision:resnet18")
    )
    channels = 1 if arguments.what == "mnist" else 3
    shape = Preprocessing(
        image_hw=(side, side), fit="crop", channels=channels, mean=(0.5,) * channels, std=(0.5,) * channels
    )
    dataset = read_dataset(str(arguments.folder))
    dataset = dataset.keep([row for row, sample in enumerate(dataset.samples) if sample.split == "train"])
    task = OneLabel(dataset.classes)
    packed = pack(dataset, shape, hashes=content_hashes(dataset))
    targets = task.pack_targets(dataset.samples)
    normalise = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(shape.mean, shape.std)]
    if arguments.what == "mnist":
        spec = {"rotate": _TURN, "translate": _SHIFT, "scale": _SIZE, "shear": _SHEAR}
        moved = v2.RandomAffine(_TURN, (_SHIFT, _SHIFT), (1 - _SIZE, 1 + _SIZE), _SHEAR, v2.InterpolationMode.BILINEAR)
        plain: Dataset = Pictures(np.asarray(packed.images), targets.tolist(), v2.Compose([moved, *normalise]))
    else:
        spec = {"crop": {"area": 0.5}, "flip_horizontal": True}
        moved = v2.Compose([v2.RandomResizedCrop(side, (0.5, 1.0), antialias=True), v2.RandomHorizontalFlip()])
        plain = ImageFolder(str(arguments.folder / "train"), v2.Compose([moved, *normalise]))
    plain = Subset(plain, range(min(len(plain), batch * (steps + 2))))
    ratios = []
    for number in range(arguments.rounds):
        networks = [
            find_architecture(name).create(task.outputs, channels=channels, image_hw=shape.image_hw) for _ in "ab"
        ]
        slow = tutorial(networks[0], plain, batch, steps)
        fast = ours(networks[1], (packed.images, targets), task, spec, shape, batch, steps)
        ratios.append(fast / slow)
        print(
            f"round {number + 1}: tutorial {slow:,.1f}, convolve {fast:,.1f} images/s, ratio {fast / slow:.2f}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.2f} (lowest {min(ratios):.2f}, highest {max(ratios):.2f})")


if __name__ == "__main__":
    main()
