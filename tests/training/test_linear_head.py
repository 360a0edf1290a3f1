import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from convolve.tasks.classify.one_label import OneLabel
from convolve.tasks.classify.several_labels import SeveralLabels
from convolve.training.classifiers.logistic import RegularisationPath
from convolve.training.linear_head import fit_probe


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images[:600]).float(), torch.from_numpy(labels[:600])


@pytest.mark.parametrize("penalty", [0.3, 0.01])
def test_the_optimum_is_scikit_learns(digits, penalty):
    features, labels = digits
    task = OneLabel([str(digit) for digit in range(10)])
    head = RegularisationPath(features, labels, task).fit(penalty)
    standardised = StandardScaler().fit_transform(features.double().numpy())
    reference = LogisticRegression(C=1 / (penalty * len(features)), max_iter=5000, tol=1e-8).fit(standardised, labels)
    with torch.inference_mode():
        probabilities = head(features).double().softmax(dim=1).numpy()
    np.testing.assert_allclose(probabilities, reference.predict_proba(standardised), atol=5e-3)


def test_a_feature_that_never_changes_has_no_say(digits):
    features, labels = digits
    constant = torch.cat([features, torch.full((len(features), 1), 1e4)], dim=1)
    task = OneLabel([str(digit) for digit in range(10)])
    head = RegularisationPath(constant, labels, task).fit(0.1)
    assert torch.isfinite(head.weight).all()
    assert head.weight[:, -1].abs().max() == 0


def test_held_out_outputs_come_from_heads_that_never_saw_the_image():
    # Labels that no feature explains: a head that saw an image can learn its label by heart, one that did not cannot.
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(200, 300, generator=generator)
    labels = torch.randint(2, (200,), generator=generator)
    task = OneLabel(["no", "yes"])
    probe = fit_probe(wide, labels, np.arange(200) % 5, task, penalties=(0.001,), progress=lambda done, total: None)
    with torch.inference_mode():
        seen = (probe.head(wide).argmax(dim=1) == labels).float().mean()
    assert seen > 0.95
    assert 0.3 < probe.figures["accuracy"] < 0.7
    assert probe.temperature > 1


def test_the_penalty_is_the_one_with_the_most_likely_held_out_labels(digits):
    features, labels = digits
    task = OneLabel([str(digit) for digit in range(10)])
    folds = np.arange(len(labels)) % 4
    penalties = (1.0, 0.1, 0.01, 0.001)
    probe = fit_probe(features, labels, folds, task, penalties=penalties, progress=lambda done, total: None)
    losses = {}
    for penalty in penalties:
        outputs = np.zeros((len(labels), 10))
        for fold in range(4):
            inside = folds != fold
            scaler = StandardScaler().fit(features[inside].double().numpy())
            model = LogisticRegression(C=1 / (penalty * inside.sum()), max_iter=5000)
            model.fit(scaler.transform(features[inside].double().numpy()), labels[inside])
            outputs[~inside] = model.decision_function(scaler.transform(features[~inside].double().numpy()))
        scaled = [torch.from_numpy(outputs / t).softmax(dim=1).numpy() for t in np.geomspace(0.3, 3, 60)]
        losses[penalty] = min(log_loss(labels, shares) for shares in scaled)
    assert probe.setting["penalty"] == min(losses, key=losses.get)


def test_several_labels_are_fitted_class_by_class(digits):
    features, labels = digits
    targets = torch.stack([labels % 2 == 0, labels > 4], dim=1).float()
    head = RegularisationPath(features, targets, SeveralLabels(["even", "large"])).fit(0.01)
    with torch.inference_mode():
        right = ((head(features) > 0).float() == targets).float().mean(dim=0)
    assert (right > 0.9).all()
