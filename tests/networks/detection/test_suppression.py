import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou, nms

from convolve.networks.detection.detector import Limits
from convolve.networks.detection.suppression import suppress

ALL = Limits(nms_iou=0.5, min_probability=0.0, max_boxes=1000)
NAMES = "ABCD"
BOXES = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 9]])
PROBABILITIES = torch.tensor([0.9, 0.8, 0.7, 0.95])


def candidates(count: int, seed: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corners = 40 * torch.rand(count, 2, generator=generator)
    boxes = torch.cat((corners, corners + 5 + 20 * torch.rand(count, 2, generator=generator)), dim=1)
    # All different, so that there is one order.
    probabilities = (torch.randperm(count, generator=generator) + 1) / (count + 1)
    return boxes, torch.randint(classes, (count,), generator=generator), probabilities


@pytest.mark.parametrize(("iou", "expected"), [(0.5, "DC"), (0.7, "DBC")])
def test_the_worked_example(iou, expected):
    found = suppress(BOXES, torch.zeros(4, dtype=torch.int64), PROBABILITIES, replace(ALL, nms_iou=iou))
    assert "".join(NAMES[BOXES.tolist().index(box)] for box in found.boxes.tolist()) == expected
    assert found.probabilities.tolist() == pytest.approx([PROBABILITIES[NAMES.index(name)].item() for name in expected])


@given(st.integers(0, 10_000), st.integers(0, 60), st.sampled_from([0.3, 0.5, 0.7]))
def test_each_class_is_suppressed_as_if_it_were_alone(seed, count, iou):
    boxes, labels, probabilities = candidates(count, seed)
    found = suppress(boxes, labels, probabilities, replace(ALL, nms_iou=iou))
    assert (found.probabilities.diff() <= 0).all()
    for label in range(3):
        alone = labels == label
        kept = nms(boxes[alone], probabilities[alone], iou)
        assert found.boxes[found.labels == label].tolist() == boxes[alone][kept].tolist()


def test_many_classes_on_a_large_image_do_not_blur_each_other():
    # Just below the limit, by a hundredth of a pixel; at class 900 the places of single precision are a quarter apart.
    boxes = torch.tensor([[3990.0, 0, 4000, 10], [3993.34, 0, 4003.34, 10]])
    assert 0.499 < box_iou(boxes[:1], boxes[1:]).item() < 0.5
    for label in range(0, 1000, 100):
        found = suppress(boxes, torch.tensor([label, label]), torch.tensor([0.9, 0.8]), ALL)
        assert len(found.boxes) == 2


@pytest.mark.parametrize("soft", ["none", "linear", "gaussian"])
@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_candidates_does_not_matter(soft, seed):
    boxes, labels, probabilities = candidates(30, seed)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(seed))
    limits = replace(ALL, soft_nms=soft)
    once = suppress(boxes, labels, probabilities, limits)
    again = suppress(boxes[order], labels[order], probabilities[order], limits)
    for first, second in zip(once, again, strict=True):
        assert first.tolist() == second.tolist()


@pytest.mark.parametrize("soft", ["none", "linear", "gaussian"])
def test_limits_of_probability_and_number(soft):
    boxes, labels, probabilities = candidates(60, 1)
    limits = replace(ALL, soft_nms=soft, min_probability=0.3)
    found = suppress(boxes, labels, probabilities, limits)
    assert found.probabilities.min() >= 0.3
    few = suppress(boxes, labels, probabilities, replace(limits, max_boxes=5))
    assert few.boxes.tolist() == found.boxes[:5].tolist()
    nothing = suppress(boxes, labels, probabilities, replace(limits, min_probability=1.0))
    assert [len(part) for part in nothing] == [0, 0, 0]


@pytest.mark.parametrize("soft", ["none", "linear", "gaussian"])
def test_no_candidates_no_boxes(soft):
    found = suppress(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0), replace(ALL, soft_nms=soft))
    assert found.boxes.shape == (0, 4)
    assert found.labels.dtype == torch.int64


def paper(boxes, probabilities, weaken):
    """Figure 3 of Bodla et al., with lists."""
    left = list(zip(boxes, probabilities.tolist(), strict=True))
    done = []
    while left:
        best = max(range(len(left)), key=lambda place: left[place][1])
        box, probability = left.pop(best)
        done.append((box.tolist(), probability))
        left = [(other, value * weaken(box_iou(box[None], other[None]).item())) for other, value in left]
    return sorted(done, key=lambda pair: -pair[1])


@pytest.mark.parametrize("soft", ["linear", "gaussian"])
@given(seed=st.integers(0, 10_000))
def test_soft_suppression_follows_the_papers_algorithm(soft, seed):
    boxes, labels, probabilities = candidates(12, seed, classes=1)
    weaken = {
        "linear": lambda overlap: 1 - overlap if overlap > 0.5 else 1.0,
        "gaussian": lambda overlap: math.exp(-(overlap**2) / 0.5),
    }[soft]
    found = suppress(boxes, labels, probabilities, replace(ALL, soft_nms=soft))
    expected = paper(boxes, probabilities, weaken)
    assert found.probabilities.tolist() == pytest.approx([probability for _, probability in expected], rel=1e-4)
    assert sorted(found.boxes.tolist()) == sorted(box for box, _ in expected)


def test_of_copies_soft_suppression_leaves_what_hard_does():
    boxes, labels, _ = candidates(5, 3)
    apart = torch.arange(5)[:, None] * 100.0
    copies = (boxes + apart).repeat(4, 1), labels.repeat(4), (torch.randperm(20) + 1) / 21
    hard = suppress(*copies, ALL)
    soft = suppress(*copies, replace(ALL, soft_nms="linear"))
    assert len(hard.boxes) == 5
    for first, second in zip(hard, soft, strict=True):
        assert first.tolist() == second.tolist()


def test_soft_suppression_keeps_a_neighbour_that_hard_drops():
    found = suppress(BOXES, torch.zeros(4, dtype=torch.int64), PROBABILITIES, replace(ALL, soft_nms="linear"))
    assert len(found.boxes) == 4
    # D .95, C .7; B loses to D and then A: .8 * (1 - .6102) * ...; A: .9 * (1 - .9).
    assert found.probabilities[:2].tolist() == pytest.approx([0.95, 0.7])
    overlap_bd, overlap_ad, overlap_ab = 72 / 118, 0.9, 81 / 119
    expected_b, expected_a = 0.8 * (1 - overlap_bd), 0.9 * (1 - overlap_ad) * (1 - overlap_ab)
    assert found.probabilities[2:].tolist() == pytest.approx([expected_b, expected_a], rel=1e-4)
