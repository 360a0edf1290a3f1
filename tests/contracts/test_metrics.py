"""Every metric against a library or a loop that is slow and obvious."""

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, softmax
from scipy.stats import binomtest, bootstrap
from sklearn import metrics as sk
from torchmetrics.functional.classification import binary_average_precision, binary_calibration_error

import convolve.tasks.metrics

CLASSES = 6
MODULES = sorted(module.name for module in pkgutil.iter_modules(convolve.tasks.metrics.__path__))


def metric(name: str) -> Callable[..., Any]:
    return getattr(import_module(f"convolve.tasks.metrics.{name}"), name)


@pytest.fixture
def logits(seed=0):
    return np.random.default_rng(seed).normal(scale=2, size=(200, CLASSES))


@pytest.fixture
def targets(logits):
    noise = np.random.default_rng(1).gumbel(size=logits.shape)
    return (logits + noise).argmax(axis=1)


@pytest.fixture
def confusion(logits, targets):
    return sk.confusion_matrix(targets, logits.argmax(axis=1), labels=range(CLASSES))


@pytest.mark.parametrize("name", MODULES)
def test_a_metric_is_one_function_that_states_its_range_and_source(name):
    function = metric(name)
    assert inspect.isfunction(function)
    assert "Source: " in function.__doc__
    assert ">>>" in function.__doc__
    assert name in {test.removeprefix("test_") for test in globals() if test.startswith("test_")}


def test_accuracy(logits, targets, confusion):
    assert metric("accuracy")(confusion) == pytest.approx(sk.accuracy_score(targets, logits.argmax(axis=1)))


def test_balanced_accuracy(logits, targets, confusion):
    expected = sk.balanced_accuracy_score(targets, logits.argmax(axis=1))
    assert metric("balanced_accuracy")(confusion) == pytest.approx(expected)


def test_confusion_matrix(logits, targets, confusion):
    assert (metric("confusion_matrix")(targets, logits.argmax(axis=1), CLASSES) == confusion).all()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_accuracy(logits, targets, k):
    expected = sk.top_k_accuracy_score(targets, logits, k=k, labels=range(CLASSES))
    assert metric("top_k_accuracy")(logits, targets, k) == pytest.approx(expected)


def test_nll(logits, targets):
    expected = sk.log_loss(targets, softmax(logits, axis=1), labels=range(CLASSES))
    assert metric("nll")(logits, targets) == pytest.approx(expected)
    assert metric("nll")(logits + 1000, targets) == pytest.approx(expected)


def test_binary_nll(logits, targets):
    truth = np.eye(CLASSES, dtype=bool)[targets]
    assert metric("binary_nll")(logits, truth) == pytest.approx(sk.log_loss(truth.ravel(), expit(logits).ravel()))
    assert metric("binary_nll")(np.array([[800.0, -800.0]]), np.array([[False, False]])) == 400


def test_brier_score(logits, targets):
    probabilities = softmax(logits, axis=1)
    expected = sk.brier_score_loss(targets, probabilities, labels=range(CLASSES), scale_by_half=False)
    assert metric("brier_score")(probabilities, targets) == pytest.approx(expected)


def test_reliability(logits, targets):
    probabilities = softmax(logits, axis=1)
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    bins = metric("reliability")(confidences, right, bins=4)
    for low, found in zip((0, 0.25, 0.5, 0.75), (*[None] * (4 - len(bins)), *bins), strict=True):
        inside = (confidences > low) & (confidences <= low + 0.25)
        assert (found.n if found else 0) == inside.sum()
        if found:
            assert (found.confidence, found.accuracy) == pytest.approx(
                (confidences[inside].mean(), right[inside].mean())
            )


def test_calibration_error(logits, targets):
    probabilities = softmax(logits, axis=1)
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    expected = binary_calibration_error(torch.from_numpy(confidences), torch.from_numpy(right).int(), n_bins=15)
    assert metric("calibration_error")(metric("reliability")(confidences, right)) == pytest.approx(float(expected))


@pytest.mark.parametrize(("correct", "total"), [(0, 1), (1, 1), (330, 372), (41, 41), (3, 8)])
def test_wilson_interval(correct, total):
    expected = binomtest(correct, total).proportion_ci(method="wilson")
    assert metric("wilson_interval")(correct, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_bootstrap_interval():
    right = np.random.default_rng(0).random(120) < 0.8
    expected = bootstrap((right,), np.mean, method="percentile", n_resamples=2000, rng=0).confidence_interval
    tallies = np.stack([right, np.ones(120)], axis=1).astype(int)
    interval = metric("bootstrap_interval")(tallies, lambda sums: sums[:, 0] / sums[:, 1])
    assert interval == pytest.approx((expected.low, expected.high), abs=0.015)
    assert interval == metric("bootstrap_interval")(tallies, lambda sums: sums[:, 0] / sums[:, 1])


def test_temperature(logits, targets):
    def loss(t):
        return sk.log_loss(targets, softmax(logits / t, axis=1))

    expected = np.exp(minimize(lambda log_t: loss(np.exp(log_t[0])), [0.0], method="Nelder-Mead").x[0])
    assert metric("temperature")(loss) == pytest.approx(expected, rel=1e-3)
    assert metric("temperature")(loss) == pytest.approx(1, abs=0.25), "the targets were drawn from these logits"


def test_average_precision(logits, targets):
    of_class = targets == 2
    expected = binary_average_precision(torch.from_numpy(logits[:, 2]), torch.from_numpy(of_class).int())
    assert metric("average_precision")(logits[:, 2], of_class) == pytest.approx(float(expected))
    assert metric("average_precision")(logits[:, 2], np.zeros(200, dtype=bool)) is None


def test_per_class_scores(confusion, logits, targets):
    expected = sk.precision_recall_fscore_support(targets, logits.argmax(axis=1), labels=range(CLASSES))
    for index, (precision, recall, f1, images) in enumerate(zip(*expected, strict=True)):
        found = metric("per_class_scores")(int(confusion[index, index]), int(images), int(confusion[:, index].sum()))
        assert (found.precision, found.recall, found.f1) == pytest.approx((precision, recall, f1))
    nothing = metric("per_class_scores")(0, 0, 0)
    assert (nothing.precision, nothing.recall, nothing.f1) == (None, None, None)
    assert nothing.note == "no such images, never predicted"
