import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from convolve.data.boxes.anchor_fit import anchor_fit, propose_anchors
from convolve.data.boxes.statistics import object_sides
from convolve.data.dataset import Box, Boxes, Sample
from convolve.errors import UserError
from convolve.networks.detection.anchors import base_anchors
from data.boxes.blood import blood, needs_blood

NO_IMAGE = np.zeros((1, 1), np.uint8)
LENGTH = st.floats(0.5, 400)


def samples_of(*sides: tuple[float, float], hw: tuple[int, int] = (640, 640)) -> list[Sample]:
    """One image with boxes of these widths and heights."""
    return [Sample("", NO_IMAGE, Boxes(hw, tuple(Box(0, (0.0, 0.0, w, h)) for w, h in sides)))]


@given(
    sides=st.lists(st.tuples(LENGTH, LENGTH), min_size=1, max_size=20),
    sizes=st.lists(st.floats(1, 300), min_size=1, max_size=4),
    ratios=st.lists(st.floats(0.2, 5), min_size=1, max_size=3),
)
def test_the_fit_is_torchvision_s_iou_with_the_networks_anchors(
    sides: list[tuple[float, float]], sizes: list[float], ratios: list[float]
) -> None:
    objects = torch.tensor([(-w / 2, -h / 2, w / 2, h / 2) for w, h in sides], dtype=torch.float64)
    best = box_iou(objects, base_anchors(sizes, ratios).double()).amax(dim=1)
    fit = anchor_fit(samples_of(*sides), 640, sizes, ratios)
    assert fit.mean == pytest.approx(float(best.mean()), rel=1e-4)
    for share, bound in ((fit.half, 0.5), (fit.seven_tenths, 0.7)):
        # The network's anchors are float32.
        least, most = ((best >= bound + shift).double().mean() for shift in (1e-4, -1e-4))
        assert float(least) <= share <= float(most)


def test_a_worked_example() -> None:
    # An anchor of 40 x 40 holds 20 x 40: IoU 1/2; 80 x 80 holds it: 1/4; itself: 1. At half of the image's scale.
    samples = samples_of((40, 80), (160, 160), (80, 80), hw=(1280, 1280))
    fit = anchor_fit(samples, 640, [40], [1.0])
    assert (fit.half, fit.seven_tenths) == pytest.approx((2 / 3, 1 / 3))
    assert fit.mean == pytest.approx((1 / 2 + 1 / 4 + 1) / 3)
    # Ratios are heights by widths.
    assert anchor_fit(samples_of((20, 80)), 640, [40], [4.0]).mean == pytest.approx(1)
    assert anchor_fit(samples_of((20, 80)), 640, [40], [0.25]).mean < 0.2


def test_proposals_cover_sizes_and_ratios() -> None:
    random = np.random.default_rng(0)
    sizes, ratios = np.exp(random.uniform(np.log(20), np.log(200), 500)), random.choice([0.5, 1.0, 2.0], 500)
    sides = [
        (float(size / math.sqrt(ratio)), float(size * math.sqrt(ratio)))
        for size, ratio in zip(sizes, ratios, strict=True)
    ]
    found, shapes, reason = propose_anchors(samples_of(*sides, hw=(640, 640)), 640)
    assert shapes == (0.5, 1.0, 2.0)
    assert 20 < found[0] < 25
    assert 160 < found[-1] < 200
    assert all(other / one <= 1.51 for one, other in pairwise(found))
    fit = anchor_fit(samples_of(*sides), 640, found, shapes)
    assert fit.half == 1
    assert f"{fit.seven_tenths:.1%} with 0.7" in reason
    # Images twice as large at the same input: half of the anchors' sizes.
    halved, same, _ = propose_anchors(samples_of(*sides, hw=(1280, 1280)), 640)
    assert halved == pytest.approx([size / 2 for size in found], rel=0.01)
    assert same == shapes


@settings(deadline=None)
@given(sides=st.lists(st.tuples(LENGTH, LENGTH), min_size=1, max_size=40))
def test_proposals_are_few_and_contain_squares(sides: list[tuple[float, float]]) -> None:
    samples = samples_of(*sides)
    sizes, ratios, _ = propose_anchors(samples, 640)
    assert 2 <= len(sizes) <= 8
    assert list(sizes) == sorted(set(sizes))
    assert 1 <= len(ratios) <= 3
    assert list(ratios) == sorted(ratios)
    assert 1.0 in ratios
    assert all(other / one >= 1.29 for one, other in pairwise(ratios))
    objects = np.sqrt(object_sides(samples, 640).prod(axis=1))
    assert sizes[0] <= np.quantile(objects, 0.05) * 1.006
    assert sizes[-1] >= np.quantile(objects, 0.95) * 0.994


def test_objects_of_one_size_still_have_two_sizes_around_it() -> None:
    sizes, ratios, _ = propose_anchors(samples_of(*[(50, 50)] * 9), 640)
    assert sizes[0] < 50 < sizes[1]
    assert ratios == (1.0,)
    assert anchor_fit(samples_of((50, 50)), 640, sizes, ratios).seven_tenths == 1


def test_very_tall_objects_leave_out_the_ratio_nearest_to_square() -> None:
    tall = [(20.0, 20 * ratio) for ratio in np.linspace(1.5, 8, 101)]
    _, ratios, _ = propose_anchors(samples_of(*tall), 640)
    assert ratios == (1.0, pytest.approx(4.75), pytest.approx(7.35))


def test_without_objects_there_is_nothing_to_fit() -> None:
    with pytest.raises(UserError, match="no boxes of objects"):
        propose_anchors(samples_of(), 640)
    with pytest.raises(ValueError, match="no objects"):
        anchor_fit([], 640, [32], [1])


@needs_blood
def test_the_anchors_proposed_for_blood_cells_fit_them() -> None:
    training = [sample for sample in blood().samples if sample.split == "train"]
    sizes, ratios, _ = propose_anchors(training, 640)
    for samples in (training, [sample for sample in blood().samples if sample.split == "test"]):
        assert anchor_fit(samples, 640, sizes, ratios).half >= 0.95
    # Better than what detectors come with.
    usual = anchor_fit(training, 640, [32, 64, 128, 256, 512], [0.5, 1, 2])
    assert anchor_fit(training, 640, sizes, ratios).mean > usual.mean
