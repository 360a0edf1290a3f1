"""Training throughput on masks against torchvision's segmentation reference: same network, crops, batch and loss.

    python benchmarks/segmentation_training.py FOLDER_WITH_train_AND_trainannot

The reference (pytorch/vision, references/segmentation/presets.py and train.py) decodes each image from its file in
every epoch, transforms it by itself in a worker (random resize, horizontal flip, random crop, to tensor, normalise),
and trains in eager float32, contiguous, by SGD. convolve decodes once into its cache before the clock starts, cuts and
moves whole batches, and computes in the layout that it measures to be fastest. Both train EfficientNet-Lite0 with the
U-Net decoder from random values on crops of one size; both run in turn in one process, several rounds; what counts is
the median of the rounds' ratios.
"""

import argparse
import copy
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.content import content_hashes
from convolve.data.map_batches import CropBatches
from convolve.data.masks.settling import MaskOptions, settle_masks
from convolve.data.native_pack import pack_native
from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.data.reading import read_dataset
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.score_maps.building import build_network, build_pixel_network
from convolve.progress import silent
from convolve.tasks.segment.pixels import Pixels
from convolve.training.calibrate import calibrate, candidates
from convolve.training.optimisers import OPTIMISERS, parameter_groups

_MEAN, _STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


class Scenes(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Image and mask files as the reference serves them: decoded and transformed one by one."""

    def __init__(self, pairs: list[tuple[Path, Path]], crop_hw: tuple[int, int], classes: int) -> None:
        self.pairs, self.classes = pairs, classes
        smaller = min(crop_hw)
        self.transform = v2.Compose(
            [
                v2.RandomResize(min_size=int(0.8 * smaller), max_size=int(1.25 * smaller)),
                v2.RandomHorizontalFlip(0.5),
                v2.RandomCrop(crop_hw, pad_if_needed=True, fill={tv_tensors.Mask: 255, "others": 0}),
                v2.ToImage(),
                v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}, scale=True),
                v2.Normalize(_MEAN, _STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self.pairs[index]
        picture = Image.open(image).convert("RGB")
        values = np.array(Image.open(mask))
        # Void has the value after the last class.
        classes = tv_tensors.Mask(torch.from_numpy(np.where(values < self.classes, values, 255).astype(np.uint8)))
        return self.transform(picture, classes)


def reference(network: nn.Module, scenes: Scenes, batch_size: int, steps: int, workers: int) -> float:
    """Crops a second of the reference's loop, workers started before the clock."""
    loader = DataLoader(scenes, batch_size=batch_size, shuffle=True, num_workers=workers, drop_last=True)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    network.train()
    batches = iter(loader)
    images, targets = next(batches)
    started, done = time.perf_counter(), 0
    for _ in range(steps):
        output = network(images)
        loss = nn.functional.cross_entropy(output, targets, ignore_index=255)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()
        done += len(images)
        images, targets = next(batches)
    return done / (time.perf_counter() - started)


def ours(network: PixelNetwork, batches: CropBatches, classes: tuple[str, ...], steps: int) -> float:
    """Crops a second of convolve's step, in the layout that calibration chooses before the clock."""
    task = Pixels(classes)
    first = batches.batch(0, 0)
    ways = candidates("cpu", memory_format="auto", precision="auto", compile_network="off")
    normalise = v2.Normalize(_MEAN, _STD)
    compute = calibrate(
        network, task, normalise(first.images), first.targets, ways, trained=True, seconds=2.0, progress=silent
    ).chosen
    compute.place(network)
    kind = OPTIMISERS["sgd"]
    optimiser = kind.build(parameter_groups(network, 1e-4), 0.01)
    network.train()
    started, done = time.perf_counter(), 0
    for step in range(steps):
        batch = batches.batch(0, step)
        outputs = network(compute.images(normalise(batch.images)))
        loss = task.losses(outputs, batch.targets).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()
        done += len(batch.rows)
    return done / (time.perf_counter() - started)


def main() -> None:
    """Run the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    dataset = settle_masks(read_dataset(str(given.folder)), MaskOptions(), silent)
    train = np.flatnonzero([sample.split == "train" for sample in dataset.samples])
    packed = pack_native(dataset, hashes=content_hashes(dataset), progress=silent)
    crop_hw = tuple(int(side) for side in packed.hw[train].max(axis=0))
    preprocessing = PixelPreprocessing(channels=3, low=(0,) * 3, high=(255,) * 3, mean=_MEAN, std=_STD)
    augmentation = build_augmentation({"flip_horizontal": True, "scale": 0.25}, fill=[0, 0, 0])
    batches = CropBatches(
        packed,
        train,
        crop_hw=crop_hw,
        batch_size=given.batch,
        seed=0,
        preprocessing=preprocessing,
        augmentation=augmentation,
        sampling="uniform",
        crops=1,
    )
    pairs = [
        (path, path.parent.parent / "trainannot" / f"{path.stem}.png")
        for path in sorted((given.folder / "train").glob("*.jpg"))
    ]
    classes = dataset.classes
    scenes = Scenes(pairs, crop_hw, len(classes))
    torch.manual_seed(0)
    backbone = build_network("timm:tf_efficientnet_lite0", {}, outputs=len(classes), channels=3, image_hw=crop_hw)
    network = build_pixel_network("unet", {}, backbone, outputs=len(classes), channels=3, image_hw=crop_hw)
    ratios = []
    for number in range(given.rounds):
        theirs = reference(copy.deepcopy(network), scenes, given.batch, given.steps, given.workers)
        mine = ours(copy.deepcopy(network), batches, classes, given.steps)
        ratios.append(mine / theirs)
        print(
            f"round {number}: reference {theirs:.2f}, convolve {mine:.2f} crops/s, ratio {ratios[-1]:.2f}", flush=True
        )
    print(f"crops {crop_hw}, batch {given.batch}: median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
