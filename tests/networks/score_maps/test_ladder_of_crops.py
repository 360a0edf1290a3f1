"""What the rungs are for: small shapes need fine maps."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import jaccard_score
from torch import Tensor

from convolve.networks.architectures.residual import residual
from convolve.networks.score_maps import SCORE_MAPS

SIDE, CLASSES = 32, 3


def drawn_shapes(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noisy images (N, 3, 32, 32) of diamonds and squares 3 to 9 pixels wide, and their masks."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    masks = torch.zeros(count, SIDE, SIDE, dtype=torch.int64)
    for mask in masks:
        for kind in (1, 2, 1, 2):
            row, column = torch.randint(0, SIDE, (2,), generator=generator)
            radius = torch.randint(2, 5, (1,), generator=generator)
            down, right = (rows - row).abs(), (columns - column).abs()
            mask[down + right <= radius if kind == 1 else torch.maximum(down, right) < radius] = kind
    colours = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    noise = torch.randn(count, 3, SIDE, SIDE, generator=generator)
    return colours[masks].permute(0, 3, 1, 2) + 0.15 * noise, masks


def mean_iou_after_training(rung: str) -> float:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    images, masks = drawn_shapes(64, generator)
    unseen, truth = drawn_shapes(64, generator)
    network = SCORE_MAPS[rung].build(
        residual(CLASSES, channels=3, image_hw=(SIDE, SIDE), depth=8, width=8),
        outputs=CLASSES,
        channels=3,
        image_hw=(SIDE, SIDE),
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(12):
        for rows in torch.randperm(len(images), generator=generator).split(16):
            optimiser.zero_grad()
            F.cross_entropy(network(images[rows]), masks[rows]).backward()
            optimiser.step()
    with torch.no_grad():
        found = network.eval()(unseen).argmax(dim=1)
    return float(jaccard_score(truth.flatten(), found.flatten(), average="macro"))


@pytest.mark.slow
def test_each_finer_map_finds_more_of_small_shapes():
    coarse, middle, fine = (mean_iou_after_training(rung) for rung in ("fcn-32s", "fcn-16s", "fcn-8s"))
    assert coarse + 0.1 < middle < fine - 0.1
    assert fine > 0.9
    assert mean_iou_after_training("unet") > 0.8
