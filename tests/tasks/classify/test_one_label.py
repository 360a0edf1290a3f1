import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convolve.data.dataset import ClassLabel, ClassLabels, Sample
from convolve.tasks.classify.one_label import OneLabel
from convolve.training.task import Task

PIXELS = np.zeros((8, 8), dtype=np.uint8)
CLASSES = ("cat", "dog", "owl")


def overconfident(images=3000, factor=3.0):
    """Logits `factor` times as large as those that the targets were drawn from."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(images, 3, generator=generator)
    return factor * logits, torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]


def test_it_fills_the_protocol():
    task: Task = OneLabel(CLASSES)
    assert (task.name, task.outputs, task.score_name) == ("classify", 3, "accuracy")


def test_targets_are_class_indices():
    samples = [Sample(name=str(i), image=PIXELS, target=ClassLabel(i)) for i in (2, 0)]
    assert torch.equal(OneLabel(CLASSES).pack_targets(samples), torch.tensor([2, 0]))
    with pytest.raises(TypeError, match="several"):
        OneLabel(CLASSES).pack_targets([Sample(name="several.png", image=PIXELS, target=ClassLabels((0, 1)))])


def test_the_loss_of_an_untrained_network_is_ln_k():
    assert OneLabel(CLASSES).losses(torch.zeros(2, 3), torch.tensor([0, 2])).tolist() == pytest.approx([np.log(3)] * 2)


def test_balanced_accuracy_can_choose_epochs():
    task = OneLabel(CLASSES, score_name="balanced_accuracy")
    outputs, targets = torch.tensor([[1.0, 0, 0]] * 10), torch.tensor([0] * 8 + [1, 2])
    assert task.evaluate(outputs, targets)[task.score_name] == pytest.approx(1 / 3)
    assert task.evaluate(outputs, targets)["accuracy"] == 0.8


def test_results_of_four_images_by_hand():
    outputs = torch.log(torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2]]))
    results = OneLabel(CLASSES).results(outputs, torch.tensor([0, 1, 0, 0]), temperature=1.0)
    assert results["n"] == 4
    assert results["accuracy"] == 0.75
    assert results["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert results["nll"] == results["nll_before"] == pytest.approx(-np.log([0.8, 0.6, 0.1, 0.5]).mean())
    assert results["confusion"] == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    cat, dog, owl = results["per_class"]
    assert (cat["class"], cat["n"], cat["precision"], cat["recall"], cat["f1"]) == ("cat", 3, 1, 2 / 3, 0.8)
    assert (dog["precision"], dog["recall"]) == (0.5, 1)
    assert (owl["precision"], owl["recall"], owl["f1"], owl["recall_ci95"]) == (None, None, None, None)
    assert owl["note"] == "no such images, never predicted"


@given(data=st.data(), images=st.integers(1, 12), classes=st.integers(2, 7), temperature=st.floats(0.05, 20))
def test_results_are_plain_json_without_nan(data, images, classes, temperature):
    number = st.floats(-50, 50)
    outputs = torch.tensor([[data.draw(number) for _ in range(classes)] for _ in range(images)])
    targets = torch.tensor([data.draw(st.integers(0, classes - 1)) for _ in range(images)])
    results = OneLabel([str(i) for i in range(classes)]).results(outputs, targets, temperature=temperature)
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    assert ("top5_accuracy" in results) == (classes > 5)
    assert results["accuracy_ci95"][0] <= results["accuracy"] <= results["accuracy_ci95"][1]


def test_groups_are_counted_and_widen_the_interval():
    outputs, targets = overconfident(60)
    alone = OneLabel(CLASSES).results(outputs, targets, temperature=1.0)
    grouped = OneLabel(CLASSES).results(outputs, targets, temperature=1.0, groups=["a", "b", "c"] * 20)
    assert (alone["groups"], grouped["groups"]) == (None, 3)
    assert "3 groups" in grouped["accuracy_ci95_method"]


class TestTemperature:
    def test_it_undoes_overconfidence(self):
        outputs, targets = overconfident(factor=3.0)
        task = OneLabel(CLASSES)
        temperature = task.fit_temperature(outputs, targets)
        assert temperature == pytest.approx(3.0, rel=0.1)
        results = task.results(outputs, targets, temperature=temperature)
        assert results["ece"] < 0.03 < 0.1 < results["ece_before"]
        assert results["nll"] < results["nll_before"]

    def test_no_images_change_nothing(self):
        assert OneLabel(CLASSES).fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == 1.0

    def test_a_few_images_that_are_all_right_do_not_make_it_certain(self):
        outputs, targets = 10 * torch.eye(3).repeat(3, 1), torch.arange(3).repeat(3)
        task = OneLabel(CLASSES)
        probabilities = task.probabilities(outputs, temperature=task.fit_temperature(outputs, targets))
        assert probabilities.max().item() == pytest.approx(1 - 1 / 11, abs=1e-3)

    def test_answers_that_are_all_wrong_stay_within_bounds(self):
        outputs, targets = 50 * torch.eye(3), torch.tensor([1, 2, 0])
        assert 19.9 < OneLabel(CLASSES).fit_temperature(outputs, targets) <= 20


def test_probabilities_are_float64_from_bfloat16():
    probabilities = OneLabel(CLASSES).probabilities(torch.tensor([[1.0, 2.0, 3.0]]).bfloat16(), temperature=1.0)
    assert probabilities.dtype == torch.float64
    assert probabilities[0].tolist() == pytest.approx([0.090031, 0.244728, 0.665241], abs=1e-6)


def test_a_prediction_ranks_the_classes():
    prediction = OneLabel(CLASSES).prediction([0.2, 0.7, 0.1])
    assert (prediction["label"], prediction["probability"]) == ("dog", 0.7)
    assert list(prediction["probabilities"]) == ["dog", "cat", "owl"]


def test_image_results_name_truth_and_prediction():
    probabilities = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3]])
    wrong, right = OneLabel(CLASSES).image_results(probabilities, torch.tensor([2, 1]))
    assert (wrong.truth, wrong.predicted, wrong.right) == ("owl", "cat", False)
    assert wrong.probability == pytest.approx(0.9)
    assert right.right
