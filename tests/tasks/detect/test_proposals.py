import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from convolve.tasks.detect.overlap import truth_of
from convolve.tasks.detect.proposals import best_overlaps, proposal_figures
from tasks.detect.made_up import boxes_in_image, images

CLASSES = ("cell", "debris", "scratch")


@pytest.fixture(scope="module")
def sample():
    truths, _ = images(20, crowds=0.2, difficult=0.1)
    generator = np.random.default_rng(0)
    return truths, [boxes_in_image(generator, count) for count in [0, 1, *[400] * 18]]


def test_the_best_overlap_of_each_object_by_torchvision(sample):
    truths, regions = sample
    best, labels = best_overlaps([truth_of(one) for one in truths], regions, counts=(10, 100, 1000))
    expected = [
        [
            float(box_iou(torch.tensor([one.corners], dtype=torch.float64), torch.from_numpy(some[:count])).max())
            if len(some)
            else 0.0
            for truth, some in zip(truths, regions, strict=True)
            for one in truth.objects
            if one.kind == "object"
        ]
        for count in (10, 100, 1000)
    ]
    assert best == pytest.approx(np.array(expected), abs=1e-12)
    assert len(labels) == len(expected[0]) > 50


def test_more_regions_find_no_less_and_a_class_counts_as_much_as_another(sample):
    truths, regions = sample
    found = proposal_figures([truth_of(one) for one in truths], regions, CLASSES)
    rows = [found[f"top{count}"] for count in (100, 300, 1000, 2000)]
    for name in ("recall_50", "recall_70", "mean_average_best_overlap"):
        values = [row[name] for row in rows]
        assert values == sorted(values)
    assert rows[0] != rows[1]
    assert rows[2] == rows[3]
    assert rows[0]["recall_70"] < rows[0]["recall_50"]
    assert found["mean_average_best_overlap"] == pytest.approx(np.mean(list(found["average_best_overlap"].values())))
    assert found["regions_per_image"] == (1 + 18 * 400) / 20


def test_the_objects_themselves_as_regions_cover_all(sample):
    truths, _ = sample
    arrays = [truth_of(one) for one in truths]
    found = proposal_figures(arrays, [one.corners for one in arrays], CLASSES)
    assert found["top100"] == {"recall_50": 1.0, "recall_70": 1.0, "mean_average_best_overlap": 1.0}


def test_without_objects_there_is_nothing_to_cover(sample):
    truths, regions = sample
    nothing = [truth_of(type(one)(one.hw, ())) for one in truths]
    assert proposal_figures(nothing, regions, CLASSES) is None
