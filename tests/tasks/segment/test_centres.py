"""Patches are maps of one pixel, so the figures of both must agree."""

import pytest
import torch
from torch.nn import functional as F

from convolve.data.dataset import IGNORE
from convolve.tasks.segment.centres import Centres
from convolve.tasks.segment.pixels import Pixels
from convolve.training.task import Objective

CLASSES = ("sky", "road", "car")


def patches(count=40):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, 3, generator=generator)
    targets = torch.randint(3, (count,), generator=generator)
    targets[::7] = IGNORE
    return logits, targets


def evaluated(task, logits, targets, *sizes):
    condensed = [task.condense(some, its) for some, its in zip(logits.split(sizes), targets.split(sizes), strict=True)]
    return task.evaluate(torch.cat([outputs for outputs, _ in condensed]), torch.cat([left for _, left in condensed]))


WEIGHTS = torch.tensor([0.5, 1.0, 4.0])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_mean_loss_is_torchs_over_patches_with_a_class(smoothing, weights):
    logits, targets = patches()
    objective: Objective = Centres(Pixels(CLASSES, class_weights=weights, label_smoothing=smoothing))
    losses = objective.losses(logits, targets)
    assert losses.shape == (40,)
    assert losses[::7].tolist() == [0.0] * 6
    expected = F.cross_entropy(logits, targets, weight=weights, ignore_index=IGNORE, label_smoothing=smoothing)
    assert losses.mean().item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("sizes", [(40,), (33, 7), (1, 38, 1)])
def test_patches_are_judged_as_the_pixels_of_one_map(sizes):
    logits, targets = patches()
    found = evaluated(Centres(Pixels(CLASSES)), logits, targets, *sizes)
    maps = evaluated(Pixels(CLASSES), logits.T[None, :, None], targets[None, None], 1)
    assert found == pytest.approx(maps)
    assert Centres.score_name in found


def test_patches_without_a_class_cost_nothing_and_teach_nothing():
    logits = torch.randn(5, 3, requires_grad=True)
    loss = Centres(Pixels(CLASSES)).losses(logits, torch.full((5,), IGNORE)).mean()
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("loss", ["softmax", "focal", "softmax+dice"])
def test_the_loss_and_the_weights_of_classes_are_those_of_the_pixels(loss):
    logits, targets = patches()
    pixels = Pixels(CLASSES, loss=loss, class_weights=torch.tensor([1.0, 5.0, 0.5]))
    plain = Centres(Pixels(CLASSES)).losses(logits, targets).mean()
    found = Centres(pixels).losses(logits, targets).mean()
    assert found.item() == pytest.approx(pixels.losses(logits.T[None, :, None], targets[None, None]).item())
    assert found.item() != pytest.approx(plain.item())
