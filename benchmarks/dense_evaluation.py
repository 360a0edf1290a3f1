"""The class of every pixel, patch by patch and by the same weights moved over the image: equal, and how much faster.

    python benchmarks/dense_evaluation.py [--side 65] [--image 128]

Both are rungs of the ladder on one `patch-net` with random weights, in test mode, on a part of scikit-image's
photograph of an astronaut. Patches go through in batches, channels last, and the fastest of several batch sizes counts.
The dense ways run in turn with portions of the patches, and means are compared, so that whatever else the machine does
slows all of them. The run fails where a logit differs by more than 1e-4.
"""

import argparse
import time
from statistics import mean

import torch
from skimage import data
from torch import Tensor, nn

from convolve.networks.architectures.patch_net import patch_net
from convolve.networks.cost import cost_of
from convolve.networks.patch_margin import mirror_margin
from convolve.networks.score_maps.dense import dense
from convolve.randomness import torch_randomness

CLASSES = 6
BATCHES = (16, 32, 64, 128)
PORTIONS = 16
TOLERANCE = 1e-4


def patch_by_patch(network: nn.Module, patches: Tensor, numbers: Tensor, batch: int) -> Tensor:
    """Logits (n, K) of n patches of a view (H, W, C, P, P), numbered row by row; what is timed cuts them out too."""
    width = patches.shape[1]
    logits = []
    for chosen in numbers.split(batch):
        portion = patches[chosen // width, chosen % width]
        logits.append(network(portion.contiguous(memory_format=torch.channels_last)))
    return torch.cat(logits)


def fastest_batch(network: nn.Module, patches: Tensor) -> int:
    """The batch size of the most patches a second."""
    rates = {}
    numbers = torch.arange(4 * max(BATCHES))
    for batch in BATCHES:
        patch_by_patch(network, patches, numbers[:batch], batch)
        started = time.perf_counter()
        patch_by_patch(network, patches, numbers, batch)
        rates[batch] = len(numbers) / (time.perf_counter() - started)
        print(f"patches, batches of {batch}: {rates[batch]:,.0f} patches/s", flush=True)
    return max(rates, key=rates.__getitem__)


def main() -> None:
    """Time both, compare every logit, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=65, help="of the patches, pixels")
    parser.add_argument("--image", type=int, default=128, help="side of the image, pixels")
    options = parser.parse_args()
    side, size = options.side, options.image

    pixels = torch.from_numpy(data.astronaut()[:size, 100 : 100 + size] / 127.5 - 1).float()
    images = pixels.permute(2, 0, 1)[None]
    with torch_randomness("dense evaluation"):
        network = patch_net(CLASSES, channels=3, image_hw=(side, side)).eval()
        nn.init.normal_(network.head.weight, std=0.1)
    patches = mirror_margin(images, (side, side))[0].unfold(1, side, 1).unfold(2, side, 1).permute(1, 2, 0, 3, 4)
    moved = {
        way: dense(network, outputs=CLASSES, channels=3, image_hw=(side, side), way=way).eval()
        for way in ("dilation", "shift-and-stitch")
    }
    seconds: dict[str, list[float]] = {way: [] for way in ("patches", *moved)}
    with torch.inference_mode():
        found = {way: one(images)[0] for way, one in moved.items()}
        batch = fastest_batch(network, patches)
        portions = []
        for numbers in torch.arange(size * size).chunk(PORTIONS):
            started = time.perf_counter()
            portions.append(patch_by_patch(network, patches, numbers, batch))
            seconds["patches"].append(time.perf_counter() - started)
            for way, one in moved.items():
                started = time.perf_counter()
                one(images)
                seconds[way].append(time.perf_counter() - started)
        expected = torch.cat(portions).view(size, size, CLASSES).permute(2, 0, 1)
    whole = sum(seconds["patches"])
    print(f"patch by patch, batches of {batch}: {whole:.2f} s, {size * size / whole:,.0f} patches/s")
    for way in moved:
        took = mean(seconds[way])
        difference = (found[way] - expected).abs().max().item()
        print(
            f"{way}: {took:.4f} s, {size * size / took:,.0f} pixels/s, {whole / took:.0f} times faster; "
            f"logits up to {expected.abs().max().item():.2f} differ by {difference:.1e} at most"
        )
        assert difference <= TOLERANCE, "the two ways do not give the same logits"
    work = cost_of(network, channels=3, image_hw=(side, side)).multiply_adds
    margined = cost_of(moved["dilation"], channels=3, image_hw=(size, size)).multiply_adds
    print(f"multiply-adds: {work * size**2 / margined:.0f} times fewer, margin of the image included")


if __name__ == "__main__":
    main()
