import numpy as np
import pytest
import torch

from convolve.data.boxes.targets import box_rows, stack_rows
from convolve.data.dataset import Box, Boxes
from convolve.tasks.detect.converting import from_tensor, truth_from_rows
from convolve.tasks.detect.overlap import truth_of
from convolve.tasks.detect.training_objective import DetectionObjective
from tasks.detect.coco_oracle import judged
from tasks.detect.made_up import images


def rows_of(found, count):
    rows = np.column_stack([found.corners, found.labels, found.probabilities])
    filled = torch.zeros(count, 6)
    filled[: len(rows)] = torch.from_numpy(rows)
    return filled


@pytest.fixture(scope="module")
def sample():
    truths, detections = images(30, crowds=0.1)
    # A probability of 0 fills up.
    return truths, [type(one)(one.corners, one.labels, one.probabilities.clip(0.01)) for one in detections]


def test_losses_are_added_up_for_each_image():
    """A detector in training mode gives a function from targets to its losses."""
    seen = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

    def outputs(targets):
        return {"classes": seen.sum(dim=1), "boxes": targets.sum(dim=(1, 2))}

    targets = torch.ones(2, 1, 6)
    assert DetectionObjective(3, most_objects=1).losses(outputs, targets).tolist() == [9.0, 13.0]


def test_figures_are_pycocotools_from_batches_of_unequal_widths(sample):
    truths, detections = sample
    most = max(len(one.objects) for one in truths)
    objective = DetectionObjective(3, most_objects=most)
    kept = [
        objective.condense(
            torch.stack([rows_of(one, 60) for one in detections[start : start + 7]]),
            stack_rows([box_rows(one) for one in truths[start : start + 7]]),
        )
        for start in range(0, 30, 7)
    ]
    found = objective.evaluate(torch.cat([outputs for outputs, _ in kept]), torch.cat([targets for _, targets in kept]))
    # Rows are float32: the same numbers for the oracle.
    rounded = [from_tensor(rows_of(one, 60)) for one in detections]
    stats = judged(truths, rounded, 3).stats
    assert [found["map"], found["map50"], found["map75"]] == pytest.approx(stats[:3], abs=1e-6)
    assert found["loss"] == 1 - found["map"]


def test_a_batch_with_more_objects_than_said_is_refused_not_cut():
    objective = DetectionObjective(3, most_objects=2)
    with pytest.raises(RuntimeError, match="expanded size"):
        objective.condense(torch.zeros(1, 5, 6), torch.zeros(1, 3, 6))


def test_without_any_object_precision_is_0():
    objective = DetectionObjective(3, most_objects=0)
    outputs, targets = objective.condense(torch.zeros(2, 5, 6), stack_rows([torch.zeros(0, 6)] * 2))
    assert objective.evaluate(outputs, targets) == {"loss": 1.0, "map50": 0.0, "map75": 0.0, "map": 0.0}


def test_rows_and_boxes_are_the_same_truth():
    boxes = Boxes(
        (40, 50),
        (
            Box(2, (1.0, 2.0, 3.5, 4.0)),
            Box(0, (0.0, 0.0, 50.0, 40.0), "crowd"),
            Box(1, (5.0, 5.0, 6.0, 7.0), "difficult"),
        ),
    )
    padded = stack_rows([box_rows(boxes), torch.zeros(7, 6)])[0]
    for one, other in zip(truth_from_rows(padded), truth_of(boxes), strict=True):
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype


def test_detections_of_rows_are_ranked_and_without_what_fills_up():
    found = from_tensor(torch.tensor([[0, 0, 1, 1, 1, 0.25], [2, 2, 4, 4, 0, 0.5], [0, 0, 0, 0, 0, 0.0]]))
    assert found.corners.tolist() == [[2, 2, 4, 4], [0, 0, 1, 1]]
    assert (found.labels.tolist(), found.probabilities.tolist()) == ([0, 1], [0.5, 0.25])
    assert from_tensor(torch.zeros(3, 6)).corners.shape == (0, 4)
