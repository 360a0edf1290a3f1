import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score

from convolve.data.dataset import ClassLabels, Sample
from convolve.tasks.classify.several_labels import SeveralLabels
from convolve.training.task import Task

PIXELS = np.zeros((8, 8), dtype=np.uint8)
CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def split():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2000, 3, generator=generator)
    return logits, torch.bernoulli(logits.sigmoid(), generator=generator)


def test_it_fills_the_protocol():
    task: Task = SeveralLabels(CLASSES)
    assert (task.name, task.outputs, task.score_name) == ("classify", 3, "mean_average_precision")


def test_targets_are_ones_and_zeros_and_none_is_allowed():
    samples = [Sample(name=str(i), image=PIXELS, target=ClassLabels(t)) for i, t in enumerate([(0, 2), ()])]
    packed = SeveralLabels(CLASSES).pack_targets(samples)
    assert packed.dtype == torch.float32
    assert packed.tolist() == [[1, 0, 1], [0, 0, 0]]


def test_scores_are_those_of_scikit_learn(split):
    outputs, targets = split
    scores = SeveralLabels(CLASSES).evaluate(outputs, targets)
    predicted = (outputs > 0).int()
    assert scores["macro_f1"] == pytest.approx(f1_score(targets, predicted, average="macro"))
    assert scores["mean_average_precision"] == pytest.approx(average_precision_score(targets, outputs, average="macro"))
    balanced = [balanced_accuracy_score(targets[:, k], predicted[:, k]) for k in range(3)]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean(balanced))
    assert scores["accuracy"] == pytest.approx((predicted == targets).all(dim=1).double().mean().item())


def test_the_threshold_is_obeyed_everywhere():
    task = SeveralLabels(CLASSES, threshold=0.8)
    outputs = torch.logit(torch.tensor([[0.9, 0.7, 0.1]]))
    prediction = task.prediction([0.9, 0.7, 0.1])
    assert (prediction["label"], prediction["probability"]) == (["cat"], pytest.approx(0.3))
    assert task.evaluate(outputs, torch.tensor([[1.0, 0, 0]]))["accuracy"] == 1
    assert task.results(outputs, torch.tensor([[1.0, 1, 0]]), temperature=1.0)["accuracy"] == 0
    assert task.image_results(torch.tensor([[0.9, 0.7, 0.1]]), torch.tensor([[1.0, 1, 0]]))[0].predicted == "cat"


def test_results_say_what_accuracy_means(split):
    results = SeveralLabels(CLASSES).results(*split, temperature=1.0)
    assert results["accuracy_is"].startswith("exact match")
    assert results["nll"] == pytest.approx(
        torch.nn.functional.binary_cross_entropy_with_logits(*split).item(), abs=1e-6
    )
    assert results["ece"] < 0.03, "the targets were drawn from these logits"


def test_a_class_without_images_has_no_figures():
    results = SeveralLabels(CLASSES).results(
        torch.tensor([[3.0, -3, -3]]), torch.tensor([[1.0, 0, 0]]), temperature=1.0
    )
    _, dog, _ = results["per_class"]
    assert (dog["n"], dog["recall"], dog["average_precision"]) == (0, None, None)
    assert dog["note"] == "no such images, never predicted"


@given(data=st.data(), images=st.integers(1, 8))
def test_results_are_plain_json_without_nan(data, images):
    outputs = torch.tensor([[data.draw(st.floats(-50, 50)) for _ in range(3)] for _ in range(images)])
    targets = torch.tensor([[float(data.draw(st.booleans())) for _ in range(3)] for _ in range(images)])
    results = SeveralLabels(CLASSES).results(outputs, targets, temperature=2.0)
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_the_temperature_undoes_overconfidence(split):
    outputs, targets = split
    assert SeveralLabels(CLASSES).fit_temperature(4 * outputs, targets) == pytest.approx(4, rel=0.1)


def test_the_temperature_of_nothing_and_of_perfection_is_finite():
    task = SeveralLabels(CLASSES)
    assert task.fit_temperature(torch.zeros(0, 3), torch.zeros(0, 3)) == 1.0
    targets = torch.eye(3)
    probabilities = task.probabilities(20 * targets - 10, temperature=task.fit_temperature(20 * targets - 10, targets))
    assert probabilities.max().item() == pytest.approx(1 - 1 / 11, abs=1e-3)


def test_an_image_stands_or_falls_with_its_decisive_answer():
    probabilities = torch.tensor([[0.9, 0.6, 0.1], [0.9, 0.6, 0.1], [0.1, 0.2, 0.3]], dtype=torch.float64)
    targets = torch.tensor([[1.0, 1, 0], [1, 0, 1], [0, 0, 0]])
    right, wrong, empty = SeveralLabels(CLASSES).image_results(probabilities, targets)
    assert (right.truth, right.probability, right.right) == ("cat + dog", 0.6, True)
    assert (wrong.truth, wrong.predicted, wrong.probability) == ("cat + owl", "cat + dog", 0.9)
    assert (empty.truth, empty.predicted, empty.right) == ("none", "none", True)
