"""Heads answer what scikit-learn's own fitted objects do, before and after a file."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from sklearn.datasets import load_digits, make_classification
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch import nn

from convolve.networks.heads import HEADS, kind_of_head, rebuild_head
from convolve.networks.heads.neighbours import Neighbours
from convolve.networks.heads.standardised_linear import StandardisedLinear
from convolve.tasks.classify.one_label import OneLabel
from convolve.training.classifiers import linear_svm, random_forest, rbf_svm, standardisation
from convolve.training.classifiers.lda import Lda


def real(classes):
    images, labels = load_digits(n_class=classes, return_X_y=True)
    # Beside the pixels a column that never changes, as dead units of a network give.
    return np.hstack([images, np.full((len(images), 1), 0.1)]).astype(np.float32), labels


def random(classes):
    features, labels = make_classification(
        900, 40, n_informative=6, n_classes=classes, class_sep=0.4, random_state=classes
    )
    return features.astype(np.float32), labels


@pytest.fixture(params=[(real, 2), (real, 7), (random, 2), (random, 4)], ids=lambda p: f"{p[0].__name__}-{p[1]}")
def split(request):
    """Features and labels fitted on, new features, and K."""
    make, classes = request.param
    features, labels = make(classes)
    half = len(labels) // 2
    return features[:half], labels[:half], features[half:], classes


def outputs_of(head, features, classes):
    """Before and after a journey through a file, and whatever a network's owner does to its precision: the same."""
    tensors = load(save(head.state_dict()))
    again = rebuild_head(kind_of_head(head), tensors, features=features.shape[1], outputs=classes)
    again.load_state_dict(tensors)
    with torch.inference_mode():
        outputs = copy.deepcopy(again).half().to("cpu")(torch.from_numpy(features))
        assert outputs.equal(head(torch.from_numpy(features)))
    assert outputs.dtype == torch.float64
    return outputs.numpy()


def decisions(outputs):
    return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs


def scaled(seen):
    """Standardised by scikit-learn; a column that never changed where it was fitted has no say."""
    scaler = StandardScaler().fit(seen.astype(np.float64))
    return lambda features: scaler.transform(features.astype(np.float64)) * (scaler.var_ > 1e-9)


def test_linear_svm(split):
    seen, labels, new, classes = split
    scale = scaled(seen)
    svm = LinearSVC(C=0.01, random_state=0).fit(scale(seen), labels)
    head = linear_svm.head_of(svm, *standardisation(torch.from_numpy(seen).double()), outputs=classes)
    outputs = outputs_of(head, new, classes)
    np.testing.assert_allclose(decisions(outputs), svm.decision_function(scale(new)), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(outputs.argmax(axis=1), svm.predict(scale(new)))


@pytest.mark.parametrize("gamma", [0.003, 0.05])
def test_rbf_svm(split, gamma):
    seen, labels, new, classes = split
    scale = scaled(seen)
    svm = SVC(C=3.0, gamma=gamma, break_ties=True).fit(scale(seen), labels)
    moments = standardisation(torch.from_numpy(seen).double())
    head = rbf_svm.head_of(svm, torch.from_numpy(seen), *moments, gamma=gamma, outputs=classes)
    outputs = outputs_of(head, new, classes)
    np.testing.assert_allclose(decisions(outputs), svm.decision_function(scale(new)), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(outputs.argmax(axis=1), svm.predict(scale(new)))


@pytest.mark.parametrize("k", [1, 5, 12])
def test_neighbours(split, k):
    seen, labels, new, classes = split
    reference = KNeighborsClassifier(k, metric="cosine").fit(seen.astype(np.float64), labels)
    head = Neighbours(
        vectors=torch.from_numpy(seen),
        labels=torch.from_numpy(labels),
        k=torch.tensor(k),
        classes=torch.arange(classes),
        outputs=classes,
    )
    outputs = outputs_of(head, new, classes)
    shares = (np.exp(outputs) * (k + 1) - 1 / classes) / k
    np.testing.assert_allclose(shares, reference.predict_proba(new.astype(np.float64)), atol=1e-9)
    np.testing.assert_array_equal(outputs.argmax(axis=1), reference.predict(new.astype(np.float64)))


@pytest.mark.parametrize("fewest", [1, 4])
def test_forest(split, fewest):
    seen, labels, new, classes = split
    weights = np.random.default_rng(0).uniform(0.5, 2, len(labels))
    forest = RandomForestClassifier(31, min_samples_leaf=fewest, random_state=0).fit(seen, labels, weights)
    outputs = outputs_of(random_forest.head_of(forest, outputs=classes), new, classes)
    shares = (np.exp(outputs) * 32 - 1 / classes) / 31
    np.testing.assert_allclose(shares, forest.predict_proba(new), atol=1e-9)
    np.testing.assert_array_equal(outputs.argmax(axis=1), forest.predict(new))


def test_discriminant_analysis(split):
    seen, labels, new, classes = split
    scale = scaled(seen)
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(scale(seen), labels)
    task = OneLabel([str(number) for number in range(classes)])
    head = Lda().fitter(torch.from_numpy(seen), torch.from_numpy(labels), task)({"shrinkage": 0.1})
    outputs = outputs_of(head, new, classes)
    theirs = reference.decision_function(scale(new))
    np.testing.assert_allclose(decisions(outputs), theirs, rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(outputs.argmax(axis=1), reference.predict(scale(new)))


def test_a_class_that_was_never_seen_is_never_predicted_and_all_outputs_are_finite():
    numbers = torch.randn(3, 5, dtype=torch.float64)
    head = StandardisedLinear(
        mean=torch.zeros(5, dtype=torch.float64),
        scale=torch.ones(5, dtype=torch.float64),
        weight=numbers,
        bias=torch.zeros(3, dtype=torch.float64),
        classes=torch.tensor([0, 2, 4]),
        outputs=6,
    )
    outputs = head(torch.randn(2000, 5))
    assert outputs.shape == (2000, 6)
    assert outputs.isfinite().all()
    assert set(outputs.argmax(dim=1).tolist()) == {0, 2, 4}


def test_a_linear_head_keeps_its_kind_and_other_modules_are_the_networks_own():
    head = nn.Linear(5, 3)
    again = rebuild_head("linear", head.state_dict(), features=5, outputs=3)
    assert kind_of_head(again) == "linear"
    assert again.weight.equal(head.weight)
    assert kind_of_head(nn.Sequential(head)) == "own"
    assert {"forest", "linear", "neighbours", "standardised-linear", "support-vectors"} <= set(HEADS)


def test_trees_that_lead_in_circles_are_refused():
    seen, labels = random(2)
    forest = RandomForestClassifier(3, max_depth=3, random_state=0).fit(seen, labels)
    tensors = random_forest.head_of(forest, outputs=2).state_dict()
    tensors["left"][1] = 0
    with pytest.raises(ValueError, match="damaged"):
        rebuild_head("forest", tensors, features=40, outputs=2)
