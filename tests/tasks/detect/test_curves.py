import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torchmetrics.detection import MeanAveragePrecision

from convolve.data.dataset import Box, Boxes
from convolve.tasks.detect.assignment import COCO_SIZES, IOU_THRESHOLDS, match
from convolve.tasks.detect.average_precision import RECALLS
from convolve.tasks.detect.curves import average_precisions, average_recall
from convolve.tasks.detect.overlap import truth_of
from tasks.detect.coco_oracle import judged, per_class
from tasks.detect.made_up import detections_of, images


def figures_of(truths, detections, classes):
    return match([truth_of(one) for one in truths], detections, classes, sizes=COCO_SIZES)


def assert_equal_to_coco(truths, detections, classes):
    """Every class, threshold and size, and the recall, against both judges."""
    ours = figures_of(truths, detections, classes)
    for faster in (False, True):
        theirs = judged(truths, detections, classes, faster=faster)
        for size in range(4):
            expected = per_class(theirs, size)
            assert average_precisions(ours, size=size) == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert average_recall(ours) == pytest.approx(theirs.stats[8], abs=1e-6)
    return average_precisions(ours)


@pytest.mark.parametrize("crowds", [0.0, 0.3])
@pytest.mark.parametrize("noise", [0.02, 0.15])
def test_as_pycocotools_and_faster_coco_eval(crowds, noise):
    truths, detections = images(80, crowds=crowds, noise=noise)
    figures = assert_equal_to_coco(truths, detections, 3)
    assert 0.1 < np.nanmean(figures) < 0.9


def test_a_class_without_objects_and_one_without_detections():
    truths, detections = images(30, classes=3)
    kept = [found.labels != 1 for found in detections]
    detections = [
        detections_of(found.corners[some], found.labels[some], found.probabilities[some])
        for found, some in zip(detections, kept, strict=True)
    ]
    truths = [Boxes(one.hw, tuple(each for each in one.objects if each.index != 2)) for one in truths]
    figures = assert_equal_to_coco(truths, detections, 4)
    assert figures[1].tolist() == [0.0] * 10
    assert np.isnan(figures[2:]).all()


def test_the_mean_over_classes_is_torchmetrics():
    truths, detections = images(40, crowds=0.0)
    # By itself it has its thresholds in float32, so that an IoU of exactly .6 misses .6.
    judge = MeanAveragePrecision(
        backend="pycocotools", iou_thresholds=IOU_THRESHOLDS.tolist(), rec_thresholds=RECALLS.tolist()
    )
    judge.update(
        [
            {
                "boxes": torch.from_numpy(found.corners),
                "scores": torch.from_numpy(found.probabilities),
                "labels": torch.from_numpy(found.labels),
            }
            for found in detections
        ],
        [
            {
                "boxes": torch.tensor([each.corners for each in one.objects], dtype=torch.float64).reshape(-1, 4),
                "labels": torch.tensor([each.index for each in one.objects], dtype=torch.int64),
            }
            for one in truths
        ],
    )
    theirs = judge.compute()
    figures = average_precisions(figures_of(truths, detections, 3))
    assert np.nanmean(figures) == pytest.approx(float(theirs["map"]), abs=1e-6)
    assert np.nanmean(figures[:, 0]) == pytest.approx(float(theirs["map_50"]), abs=1e-6)
    assert np.nanmean(figures[:, 5]) == pytest.approx(float(theirs["map_75"]), abs=1e-6)


@pytest.mark.skipif("CONVOLVE_TEST_DATA" not in os.environ, reason="CONVOLVE_TEST_DATA names no folder of data sets")
def test_on_real_cells_with_moved_boxes():
    """BCCD's test images: boxes in their hundreds, many overlapping, sizes far apart."""
    folder = Path(os.environ["CONVOLVE_TEST_DATA"], "bccd")
    names = (folder / "ImageSets" / "Main" / "test.txt").read_text().split()
    assert len(names) == 72
    classes = ["Platelets", "RBC", "WBC"]
    generator = np.random.default_rng(0)
    truths, detections = [], []
    for name in names:
        # The data set is in the repository of the test data, so that its XML can be trusted.
        tree = ElementTree.parse(folder / "Annotations" / f"{name}.xml")  # noqa: S314
        objects = []
        for one in tree.iter("object"):
            corners = [float(one.find("bndbox").find(side).text) for side in ("xmin", "ymin", "xmax", "ymax")]
            if corners[0] < corners[2] and corners[1] < corners[3]:
                objects.append(Box(classes.index(one.find("name").text), tuple(corners)))
        truths.append(Boxes((480, 640), tuple(objects)))
        corners = np.array([each.corners for each in objects]).reshape(-1, 4).repeat(2, axis=0)
        corners += generator.normal(0, 6, corners.shape)
        corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2] + 1)
        labels = np.array([each.index for each in objects], np.int64).repeat(2)
        labels[::9] = (labels[::9] + 1) % 3
        detections.append(detections_of(corners, labels, generator.random(len(corners))))
    figures = assert_equal_to_coco(truths, detections, 3)
    assert 0.1 < figures.mean() < 0.9
