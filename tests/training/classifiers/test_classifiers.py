"""What every classifier promises, and what is special about some."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from convolve.errors import UserError
from convolve.networks.heads import HEADS, kind_of_head
from convolve.tasks.classify.one_label import OneLabel
from convolve.training.classifiers import CLASSIFIERS, check_labels, fit_classifier
from convolve.training.classifiers.rbf_svm import RbfSvm


class OneSetting:
    """A classifier that has no choice, so that a test is quick."""

    def __init__(self, classifier, setting):
        self.several_labels, self.in_order = classifier.several_labels, classifier.in_order
        self.fitter = classifier.fitter
        self._setting = setting

    def settings(self, *, images, features):
        return [self._setting]


def digits(images=400, classes=10):
    pixels, labels = load_digits(n_class=classes, return_X_y=True)
    # They come writer by writer: shuffled, so that any part is like any other.
    rows = np.random.default_rng(0).permutation(len(labels))[:images]
    return torch.from_numpy(pixels[rows]).float(), torch.from_numpy(labels[rows])


def task(classes=10, **options):
    return OneLabel([str(digit) for digit in range(classes)], **options)


def plainest(name, images, features):
    """A setting in the middle of a classifier's list."""
    settings = CLASSIFIERS[name].settings(images=images, features=features)
    return OneSetting(CLASSIFIERS[name], settings[len(settings) // 2])


def fitted(classifier, features, labels, folds, of):
    return fit_classifier(classifier, features, labels, folds, of, progress=lambda done, total: None)


def test_the_classifiers_of_the_books_are_there():
    known = {"lda", "linear-svm", "logistic", "nearest-neighbours", "random-forest", "rbf-svm"}
    assert set(CLASSIFIERS) == known


@pytest.mark.parametrize("name", list(CLASSIFIERS))
class TestEveryClassifier:
    def test_tells_digits_apart_and_says_so_of_images_it_was_not_fitted_on(self, name):
        features, labels = digits()
        folds = np.arange(len(labels)) % 3
        probe = fitted(plainest(name, 260, 64), features, labels, folds, task())
        new, truth = (part[400:] for part in digits(1000))
        with torch.inference_mode():
            accuracy = float((probe.head(new).argmax(dim=1) == truth).double().mean())
        assert accuracy > 0.85
        assert abs(probe.figures["accuracy"] - accuracy) < 0.08
        assert probe.held_out.shape == (400, 10)
        assert kind_of_head(probe.head) in HEADS
        assert probe.setting_in_words

    def test_a_class_missing_from_a_fold_is_not_predicted_there_and_no_figure_is_infinite(self, name):
        features, labels = digits(300, classes=4)
        # All images of one class share a fold: without it, the class is unknown.
        folds = np.where(labels == 2, 0, 1 + np.arange(len(labels)) % 2)
        probe = fitted(plainest(name, 150, 64), features, labels, folds, task(4))
        assert probe.held_out.isfinite().all()
        assert (probe.held_out[labels == 2].argmax(dim=1) != 2).all()
        assert np.isfinite(probe.figures["loss"])

    def test_one_class_in_a_fold_is_refused(self, name):
        with pytest.raises(UserError, match=r"two classes in every fold; without fold 1 of 2"):
            check_labels(name, torch.tensor([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1]))

    def test_several_labels_are_taken_or_refused_with_the_name_of_one_that_takes_them(self, name):
        targets, folds = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), np.array([0, 1])
        if CLASSIFIERS[name].several_labels:
            check_labels(name, targets, folds)
            return
        with pytest.raises(UserError, match=r"classifier=logistic"):
            check_labels(name, targets, folds)


@pytest.mark.parametrize("name", ["linear-svm", "logistic", "random-forest", "rbf-svm"])
def test_class_weights_count(name):
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(300) % 10 == 0).long()
    features = torch.randn(300, 8, generator=generator) + 0.7 * labels[:, None]
    folds = np.arange(300) % 3
    weights = torch.tensor([0.3, 7.3])
    found = [
        fitted(plainest(name, 200, 8), features, labels, folds, task(2, class_weights=weighed)).held_out.argmax(dim=1)
        for weighed in (None, weights)
    ]
    assert found[1].sum() > found[0].sum()


def test_the_setting_is_the_one_with_the_most_likely_held_out_labels():
    features, labels = digits(500)
    folds = np.arange(500) % 3
    probe = fitted(CLASSIFIERS["linear-svm"], features, labels, folds, task())
    losses = {}
    for setting in CLASSIFIERS["linear-svm"].settings(images=333, features=64):
        outputs = np.zeros((500, 10))
        for fold in range(3):
            inside = folds != fold
            scaler = StandardScaler().fit(features[inside].double().numpy())
            svm = LinearSVC(C=setting["C"], intercept_scaling=8, random_state=0, max_iter=20_000)
            svm.fit(scaler.transform(features[inside].double().numpy()), labels[inside])
            outputs[~inside] = svm.decision_function(scaler.transform(features[~inside].double().numpy()))
        scores = torch.from_numpy(outputs)
        scaled = (torch.nn.functional.cross_entropy(scores / t, labels) for t in np.geomspace(0.05, 20, 200))
        losses[setting["C"]] = float(min(scaled))
    assert probe.setting["C"] == min(losses, key=losses.get)


def test_the_penalty_is_scikit_learns_c():
    features, labels = digits(600)
    head = CLASSIFIERS["logistic"].fitter(features, labels, task())({"penalty": 0.01})
    standardised = StandardScaler().fit_transform(features.double().numpy())
    reference = LogisticRegression(C=1 / (0.01 * 600), max_iter=5000, tol=1e-8).fit(standardised, labels)
    with torch.inference_mode():
        agree = head(features).argmax(dim=1).numpy() == reference.predict(standardised)
    assert agree.mean() > 0.995


def test_a_kernel_machine_refuses_what_memory_would_not_hold():
    with pytest.raises(UserError, match=r"up to 10,000 training images a fold, not 12,000.*\n.*linear-svm"):
        RbfSvm().settings(images=12_000, features=64)


def test_an_unknown_classifier_is_answered_with_the_nearest_name():
    with pytest.raises(UserError, match=r"unknown classifier 'rbf_svm'\n.*'rbf-svm'"):
        CLASSIFIERS["rbf_svm"]
