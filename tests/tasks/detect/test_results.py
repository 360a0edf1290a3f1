import json

import numpy as np
import pytest

from convolve.data.dataset import Box, Boxes
from convolve.tasks.detect.results import mean_average_precision, results
from tasks.detect.coco_oracle import judged, per_class
from tasks.detect.made_up import detections_of, images

CLASSES = ("cell", "debris", "scratch", "never there")


def told(truths, detections, **more):
    found = results(truths, detections, CLASSES, names=[f"{number}.png" for number in range(len(truths))], **more)
    # None in place of what JSON does not know.
    json.dumps(found, allow_nan=False)
    return found


@pytest.fixture(scope="module")
def sample():
    return images(40, crowds=0.1)


@pytest.fixture(scope="module")
def found(sample):
    return told(*sample, proposals=[one.corners for one in sample[1]], threshold=0.4)


def test_the_means_are_pycocotools(sample, found):
    stats = judged(*sample, len(CLASSES)).stats
    small, medium, large = (found["map_by_size"][name] for name in ("small", "medium", "large"))
    ours = [found["map"], found["map50"], found["map75"], small, medium, large, found["average_recall_100"]]
    assert ours == pytest.approx([*stats[:6], stats[8]], abs=1e-6)


def test_the_mean_alone_is_the_same(sample, found):
    assert mean_average_precision(*sample, len(CLASSES)) == pytest.approx(found["map50"], abs=1e-12)
    assert mean_average_precision([Boxes((10, 10), ())], [detections_of([], [], [])], 2) == 0


def test_each_class_by_name_with_its_curve(sample, found):
    evaluator = judged(*sample, len(CLASSES))
    expected = per_class(evaluator)
    assert list(found["per_class"]) == list(CLASSES)
    for label, name in enumerate(CLASSES[:3]):
        row = found["per_class"][name]
        assert row["ap50"] == pytest.approx(expected[label, 0], abs=1e-6)
        assert row["ap"] == pytest.approx(expected[label].mean(), abs=1e-6)
        assert row["ap50_ci95"][0] < row["ap50"] < row["ap50_ci95"][1]
        assert row["curve"]["precision"] == pytest.approx(evaluator.eval["precision"][0, :, label, 0, -1], abs=1e-6)
        assert row["curve"]["recall"] == [step / 100 for step in range(101)]


def test_a_class_without_objects_has_no_figures_and_takes_no_part(found):
    absent = found["per_class"]["never there"]
    assert (absent["objects"], absent["ap50"], absent["ap"], absent["curve"]) == (0, None, None, None)
    known = [row["ap50"] for row in found["per_class"].values() if row["ap50"] is not None]
    assert found["map50"] == pytest.approx(np.mean(known))


def test_counts_add_up_over_images_and_classes(sample, found):
    kinds = [one.kind for some in sample[0] for one in some.objects]
    assert found["objects"] == kinds.count("object")
    assert found["uncounted_objects"] == kinds.count("crowd") > 0
    rows = found["per_image"]
    assert len(rows) == found["n"] == 40
    assert sum(row["objects"] for row in rows) == found["objects"]
    hits, false = sum(row["found"] for row in rows), sum(row["false_alarms"] for row in rows)
    assert found["precision"] == pytest.approx(hits / (hits + false))
    assert found["recall"] == pytest.approx(hits / found["objects"])
    wrong = [count for kind, count in found["errors"]["counts"].items() if kind != "missed"]
    assert sum(wrong) == false


def test_the_threshold_says_where_it_is_from(sample, found):
    assert (found["threshold"], found["threshold_by"]) == (0.4, "given")
    chosen = told(*sample)
    assert chosen["threshold_by"] == "these images"
    assert chosen["f1"] >= found["f1"]


def test_proposals_only_where_there_are_any(sample, found):
    assert 0 < found["proposal_recall"] == found["proposals"]["top2000"]["recall_50"] < 1
    without = told(*sample)
    assert without["proposal_recall"] is without["proposals"] is None


def test_voc_differs_from_coco_in_its_eleven_points():
    """One class, ranked true, false, true of three: 6/11, not 56/101."""
    corners = [(0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), (40.0, 0.0, 50.0, 10.0)]
    truth = Boxes((100, 100), tuple(Box(0, one) for one in corners))
    found = told([truth], [detections_of([corners[0], (70, 70, 80, 80), corners[1]], [0] * 3, [0.9, 0.8, 0.7])])
    assert found["voc_2007_map50"] == pytest.approx(6 / 11)
    assert found["map50"] == pytest.approx(56 / 101)
    assert found["map50_ci95"] is None


def test_groups_are_what_is_drawn(sample, found):
    grouped = told(*sample, groups=[str(number % 5) for number in range(40)])
    assert grouped["groups"] == 5
    assert "5 groups" in grouped["ci95_method"]
    assert grouped["map50_ci95"] != found["map50_ci95"]


def test_images_without_objects_or_detections():
    nothing = Boxes((10, 10), ())
    found = told([nothing, nothing], [detections_of([], [], [])] * 2, proposals=[np.zeros((0, 4))] * 2)
    assert found["map50"] is found["map"] is found["f1"] is found["proposal_recall"] is None
    assert found["errors"]["counts"] == dict.fromkeys(found["errors"]["counts"], 0)
    assert found["per_image"][0]["f1"] is None
