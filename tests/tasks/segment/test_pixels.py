import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, jaccard_score
from torch.nn import functional as F

from convolve.data.dataset import IGNORE
from convolve.errors import UserError
from convolve.tasks.segment.pixels import Pixels
from convolve.training.task import Objective

CLASSES = ("sky", "road", "car")
WEIGHTS = torch.tensor([0.5, 1.0, 4.0])


def maps(images=6, hw=(8, 9)):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(images, 3, *hw, generator=generator)
    targets = torch.randint(3, (images, *hw), generator=generator)
    # So that images weigh unequally.
    for image in range(images):
        targets[image, :image] = IGNORE
    return logits, targets


def evaluated(task, logits, targets, *sizes):
    condensed = [task.condense(some, its) for some, its in zip(logits.split(sizes), targets.split(sizes), strict=True)]
    return task.evaluate(torch.cat([outputs for outputs, _ in condensed]), torch.cat([left for _, left in condensed]))


def test_it_fills_the_protocol():
    objective: Objective = Pixels(CLASSES)
    assert objective.score_name in evaluated(objective, *maps(), 6)


def test_the_loss_of_an_untrained_network_is_ln_k():
    _, targets = maps()
    assert Pixels(CLASSES).losses(torch.zeros(6, 3, 8, 9), targets).mean().item() == pytest.approx(np.log(3))


def test_weights_and_smoothing_arrive_in_the_loss():
    logits, targets = maps()
    found = Pixels(CLASSES, class_weights=WEIGHTS, label_smoothing=0.2).losses(logits, targets).mean()
    expected = F.cross_entropy(logits, targets, weight=WEIGHTS, label_smoothing=0.2, ignore_index=IGNORE)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_scores_are_scikit_learns_over_all_pixels_together():
    logits, targets = maps()
    found = evaluated(Pixels(CLASSES), logits, targets, 6)
    counted = targets != IGNORE
    truth, called = targets[counted].numpy(), logits.argmax(dim=1)[counted].numpy()
    assert found["mean_iou"] == pytest.approx(jaccard_score(truth, called, average="macro"))
    assert found["pixel_accuracy"] == pytest.approx(accuracy_score(truth, called))
    assert found["mean_accuracy"] == pytest.approx(balanced_accuracy_score(truth, called))


@pytest.mark.parametrize("loss", ["softmax", "focal"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_figures_do_not_depend_on_the_batches(loss, weights):
    task = Pixels(CLASSES, loss=loss, class_weights=weights)
    logits, targets = maps()
    whole, parts = evaluated(task, logits, targets, 6), evaluated(task, logits, targets, 1, 3, 2)
    assert parts == pytest.approx(whole, rel=1e-6)
    assert whole["loss"] == pytest.approx(task.losses(logits, targets).mean().item(), rel=1e-6)


def test_condensed_rows_are_small_and_hold_each_images_confusion():
    logits, targets = maps()
    rows, left = Pixels(CLASSES).condense(logits, targets)
    assert (rows.shape, rows.dtype, left.shape) == ((6, 9 + 2), torch.float64, (6, 0))
    assert rows[:, :9].sum(dim=1).tolist() == (targets != IGNORE).sum(dim=(1, 2)).tolist()
    alone, _ = Pixels(CLASSES).condense(logits[4:5], targets[4:5])
    assert rows[4].tolist() == pytest.approx(alone[0].tolist())


def test_masks_may_be_bytes():
    logits, targets = maps()
    task = Pixels(CLASSES, class_weights=WEIGHTS)
    bytes_of = targets.to(torch.uint8)
    assert torch.equal(task.losses(logits, bytes_of), task.losses(logits, targets))
    assert torch.equal(task.condense(logits, bytes_of)[0], task.condense(logits, targets)[0])


def test_a_class_that_is_nowhere_is_left_out_of_the_mean():
    logits = torch.tensor([[[[9.0, 0]], [[0, 9.0]], [[0, 0]]]])
    found = evaluated(Pixels(CLASSES), logits, torch.tensor([[[0, 1]]]), 1)
    assert (found["mean_iou"], found["mean_accuracy"]) == (1, 1)


def test_a_class_that_is_predicted_and_nowhere_has_an_iou_of_0():
    logits = torch.tensor([[[[9.0, 0]], [[0, 0]], [[0, 9.0]]]])
    found = evaluated(Pixels(CLASSES), logits, torch.tensor([[[0, 0]]]), 1)
    assert (found["mean_iou"], found["pixel_accuracy"]) == (0.25, 0.5), "IoU 1/2 and 0"


def test_images_without_labels_give_zeros_and_no_nan():
    logits, targets = maps()
    found = evaluated(Pixels(CLASSES), logits, torch.full_like(targets, IGNORE), 2, 4)
    assert found == {"loss": 0, "mean_iou": 0, "pixel_accuracy": 0, "mean_accuracy": 0}


def test_a_loss_refuses_what_has_no_part_in_it():
    with pytest.raises(UserError, match=r"loss\.name=dice has no class weights"):
        Pixels(CLASSES, loss="dice", class_weights=WEIGHTS)
    with pytest.raises(UserError, match=r"loss\.name=focal does not smooth labels"):
        Pixels(CLASSES, loss="focal", label_smoothing=0.1)
    with pytest.raises(UserError, match="softmax"):
        Pixels(CLASSES, loss="softmx")
