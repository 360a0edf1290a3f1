import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score, precision_score, recall_score
from torchmetrics.functional.segmentation import mean_iou as torchmetrics_mean_iou

from convolve.tasks.segment import scores
from convolve.tasks.segment.scores import class_counts

K = 4
CONFUSIONS = arrays(np.int64, (K, K), elements=st.integers(0, 30))


@pytest.fixture(scope="module")
def maps():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, K, (40, 50))
    return truth, np.where(generator.random((40, 50)) < 0.6, truth, generator.integers(0, K, (40, 50)))


@pytest.fixture(scope="module")
def counts(maps):
    truth, called = maps
    return class_counts(confusion_matrix(truth.ravel(), called.ravel()))


@pytest.mark.parametrize(
    ("figure", "reference"),
    [("iou", jaccard_score), ("f1", f1_score), ("precision", precision_score), ("recall", recall_score)],
)
def test_figures_of_classes_are_scikit_learns(maps, counts, figure, reference):
    truth, called = maps
    assert getattr(scores, figure)(counts) == pytest.approx(reference(truth.ravel(), called.ravel(), average=None))


def test_frequency_weighted_iou_is_scikit_learns(maps, counts):
    truth, called = maps
    expected = jaccard_score(truth.ravel(), called.ravel(), average="weighted")
    assert scores.frequency_weighted_iou(counts) == pytest.approx(expected)


def test_the_mean_iou_is_torchmetrics(maps, counts):
    truth, called = (torch.from_numpy(one)[None] for one in maps)
    expected = torchmetrics_mean_iou(called, truth, num_classes=K, input_format="index", per_class=False)
    assert scores.mean_iou(counts) == pytest.approx(expected.item(), rel=1e-6)


@given(CONFUSIONS)
def test_f1_follows_from_the_iou(confusion):
    counts = class_counts(confusion)
    found = scores.iou(counts)
    assert scores.f1(counts) == pytest.approx(2 * found / (1 + found), nan_ok=True)


@given(CONFUSIONS, st.permutations(range(K)))
def test_the_order_of_the_classes_does_not_matter(confusion, order):
    turned = class_counts(confusion[np.ix_(order, order)])
    assert scores.iou(turned) == pytest.approx(scores.iou(class_counts(confusion))[list(order)], nan_ok=True)
    for figure in (scores.mean_iou, scores.mean_accuracy, scores.pixel_accuracy, scores.frequency_weighted_iou):
        assert figure(turned) == pytest.approx(figure(class_counts(confusion)), nan_ok=True)


@given(arrays(np.int64, K, elements=st.integers(0, 9)).filter(lambda pixels: pixels.any()))
def test_what_is_right_everywhere_scores_1(pixels):
    counts = class_counts(np.diag(pixels))
    for figure in (scores.mean_iou, scores.mean_accuracy, scores.pixel_accuracy, scores.frequency_weighted_iou):
        assert figure(counts) == 1
    assert (np.isnan(scores.iou(counts)) == (pixels == 0)).all()


def test_classes_that_are_nowhere_and_classes_that_are_only_predicted():
    """One pixel of class 0 is right, one is called 1; 2 is nowhere."""
    counts = class_counts(np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0]]))
    assert scores.iou(counts).tolist() == pytest.approx([0.5, 0, np.nan], nan_ok=True)
    assert scores.recall(counts).tolist() == pytest.approx([0.5, np.nan, np.nan], nan_ok=True)
    assert scores.precision(counts).tolist() == pytest.approx([1, 0, np.nan], nan_ok=True)
    assert (scores.mean_iou(counts), scores.mean_accuracy(counts)) == (0.25, 0.5)


def test_nothing_counted_has_no_figure():
    counts = class_counts(np.zeros((2, K, K), np.int64))
    for figure in (scores.mean_iou, scores.mean_accuracy, scores.pixel_accuracy, scores.frequency_weighted_iou):
        assert figure(counts).tolist() == pytest.approx([np.nan] * 2, nan_ok=True)


def test_several_matrices_at_once_are_each_alone(maps):
    several = np.random.default_rng(0).integers(0, 9, (5, 2, K, K))
    assert scores.mean_iou(class_counts(several))[3, 1] == scores.mean_iou(class_counts(several[3, 1]))
    assert scores.iou(class_counts(several)).shape == (5, 2, K)
