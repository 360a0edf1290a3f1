"""What scikit-learn asks of a classifier, and what its tools make of ours, on scans of digits."""

import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from convolve import ImageClassifier, UserError, load

# One way of computing, or the first fit would measure them all.
QUICK = {
    "network.options.hidden": [32],
    "augment": "none",
    "compute": {"precision": "float32", "memory_format": "contiguous"},
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def classifier(**parameters: Any) -> ImageClassifier:
    return ImageClassifier(**{"network": "mlp", "epochs": 3, "recipe": QUICK, **parameters})


def digits(*kinds: int, each: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Digits of some kinds, (N, 8, 8) uint8, by turns, and which they are."""
    found = load_digits()
    rows = np.stack([np.flatnonzero(found.target == kind)[:each] for kind in kinds], axis=1).ravel()
    return np.rint(found.images[rows] * (255 / 16)).astype(np.uint8), found.target[rows]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> ImageClassifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        X, y = digits(3, 7)
        return classifier().fit(X, np.where(y == 3, "three", "seven"))


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_mixin_order,
        estimator_checks.check_estimator_tags_renamed,
    ],
)
def test_scikit_learns_own_checks_that_need_no_images(check: Any) -> None:
    check("ImageClassifier", ImageClassifier())


def test_fit_returns_itself_leaves_parameters_alone_and_marks_what_it_learned() -> None:
    X, y = digits(0, 1)
    one = classifier(epochs=1)
    before, pixels = one.get_params(), X.copy()
    assert one.fit(X, y) is one
    assert one.get_params() == before
    np.testing.assert_array_equal(X, pixels)
    learned = vars(one).keys() - before.keys()
    assert learned >= {"classes_", "model_", "recipe_", "results_"}
    assert all(name.endswith("_") for name in learned)
    assert not any(name.endswith("_") for name in vars(clone(one)))


def test_digits_it_never_saw_are_recognised(fitted: ImageClassifier) -> None:
    found = load_digits()
    unseen = np.concatenate([np.flatnonzero(found.target == kind)[100:150] for kind in (3, 7)])
    X = np.rint(found.images[unseen] * (255 / 16)).astype(np.uint8)
    truth = np.where(found.target[unseen] == 3, "three", "seven")
    predicted = fitted.predict(X)
    assert fitted.score(X, truth) == accuracy_score(truth, predicted)
    # Guessing gives 0.5, with a standard deviation of 0.05.
    assert fitted.score(X, truth) > 0.9


def test_probabilities_are_in_the_order_of_the_sorted_labels(fitted: ImageClassifier) -> None:
    X, _ = digits(7, each=5)
    probabilities = fitted.predict_proba(X)
    assert fitted.classes_.tolist() == ["seven", "three"]
    assert probabilities.shape == (5, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (fitted.predict(X) == fitted.classes_[probabilities.argmax(axis=1)]).all()
    assert probabilities[:, 0].mean() > 0.5
    assert fitted.predict_proba(X[:0]).shape == (0, 2)


@pytest.mark.parametrize("labels", [np.array([10, 9]), np.array([True, False]), np.array(["b", "a"], object)])
def test_labels_come_back_as_they_were_given(labels: np.ndarray) -> None:
    X, y = digits(0, 1, each=20)
    one = classifier(epochs=1).fit(X, labels[y])
    np.testing.assert_array_equal(one.classes_, np.sort(labels))
    predicted = one.predict(X)
    assert predicted.dtype == labels.dtype
    assert set(predicted) <= set(labels)


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    X, y = digits(0, 1, each=20)
    weights = [classifier(epochs=1, seed=seed).fit(X, y).model_.network.state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_paths_and_pixels_give_the_same_answers(fitted: ImageClassifier, tmp_path: Path) -> None:
    X, _ = digits(3, 7, each=3)
    paths = [tmp_path / f"{row}.png" for row in range(len(X))]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    expected = fitted.predict_proba(X)
    for given in (paths, [str(path) for path in paths], np.array([str(path) for path in paths]), X[..., None], list(X)):
        np.testing.assert_array_equal(fitted.predict_proba(given), expected)


def test_fit_takes_paths_and_says_which_images_it_left_out(tmp_path: Path) -> None:
    X, y = digits(0, 1, each=20)
    paths = [tmp_path / f"{row}.png" for row in range(len(X))]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    paths[4].write_bytes(b"no image")
    with pytest.warns(UserWarning, match="1 of 40 images cannot be used"):
        one = classifier(epochs=1).fit(paths, y)
    assert one.results_["images"] == 39
    with pytest.raises(UserError, match=r"1 of 40 images cannot be used: X\[4\] .*4\.png"):
        one.predict(paths)


def test_no_image_is_set_aside_for_testing_and_groups_choose_together() -> None:
    X, y = digits(0, 1, each=30)
    alone = classifier(epochs=1).fit(X, y)
    grouped = classifier(epochs=1).fit(X, y, groups=np.arange(60) // 10)
    assert "test" not in alone.results_
    assert "out_of_fold" not in alone.results_
    # 15 % of 60 images choose, or of 6 groups of 10 the nearest whole number.
    assert alone.model_.facts["train_images"] == 51
    assert grouped.model_.facts["train_images"] == 50
    # None is no group: these images are as free as if nothing had been said of them.
    free = classifier(epochs=1).fit(X, y, groups=np.array([None] * 60))
    assert free.model_.facts["train_images"] == 51


def test_fit_leaves_no_files_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(tempfile, "tempdir", str(there))
    X, y = digits(0, 1, each=20)
    classifier(epochs=1).fit(X, y)
    with pytest.raises(UserError):
        classifier(network="no such network").fit(X, y)
    assert not [*here.iterdir(), *there.iterdir()]


def test_cross_validation_a_pipeline_and_a_grid_search() -> None:
    X, y = digits(0, 1, each=30)
    inverted = make_pipeline(FunctionTransformer(lambda images: 255 - images), classifier())
    scores = cross_val_score(inverted, X, y, cv=2, error_score="raise")
    assert scores.shape == (2,)
    assert scores.mean() > 0.8
    # A learning rate this small learns nothing, and must lose.
    grid = {"recipe": [{**QUICK, "lr": rate} for rate in (1e-12, 0.05)], "epochs": np.array([3])}
    search = GridSearchCV(classifier(), grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["recipe"]["lr"] == 0.05
    assert search.best_estimator_.score(X, y) > 0.9


def test_several_labels_an_image() -> None:
    X, y = digits(0, 1, each=60)
    Y = np.stack([y == 0, y == 1, np.ones_like(y)], axis=1).astype(int)
    one = classifier(epochs=5).fit(X, Y)
    predicted = one.predict(X)
    assert predicted.shape == Y.shape
    assert one.predict_proba(X).shape == Y.shape
    assert (predicted == Y).mean() > 0.9
    assert one.score(X, Y) == accuracy_score(Y, predicted)


def test_a_saved_model_and_a_pickled_classifier_predict_the_same(fitted: ImageClassifier, tmp_path: Path) -> None:
    X, _ = digits(3, 7, each=5)
    fitted.save(tmp_path / "digits.safetensors")
    saved = load(tmp_path / "digits.safetensors")
    assert saved.classes == ("seven", "three")
    np.testing.assert_array_equal(saved.probabilities(list(X)).numpy(), fitted.predict_proba(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), fitted.predict_proba(X))  # noqa: S301


def test_before_fit_it_says_so() -> None:
    X, _ = digits(0, each=2)
    with pytest.raises(NotFittedError):
        classifier().predict(X)
    with pytest.raises(NotFittedError):
        classifier().save(Path("model.safetensors"))


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((4, 8, 8)), r"float64.*\n.*np.rint\(X \* 255\)"),
        (np.zeros((4, 8, 8), np.int64), r"int64.*\n.*astype\(np.uint8\)"),
        (np.zeros((4, 64), np.uint8), r"\(4, 64\).*\n.*X.reshape\(-1, height, width\)"),
        (np.zeros((4, 3, 8, 8), np.uint8), r"\(4, 3, 8, 8\).*\n.*X.transpose\(0, 2, 3, 1\)"),
        ([np.zeros((8, 8))] * 4, "float64"),
        ([7, 7, 7, 7], r"X\[0\] is of type int"),
        ("photos", "one path, not a sequence"),
        (np.zeros((3, 8, 8), np.uint8), "X has 3 images, y 4 labels"),
    ],
)
def test_what_is_no_image_is_refused_with_what_to_do(X: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        classifier().fit(X, [0, 1, 0, 1])


def test_what_are_no_labels_is_refused() -> None:
    X, _ = digits(0, 1, each=2)
    with pytest.raises(UserError, match="one class only, 'cat'"):
        classifier().fit(X, ["cat"] * 4)
    with pytest.raises(ValueError, match="continuous"):
        classifier().fit(X, [0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"network": "lenet"}, "unknown network 'lenet'"),
        ({"epochs": 0}, "train.epochs=0"),
        ({"recipe": {"trian.epochs": 3}}, "unknown key 'trian'"),
        ({"recipe": {"seed": None}}, "seed=None: no value"),
    ],
)
def test_wrong_parameters_are_named_by_fit(parameters: dict[str, Any], words: str) -> None:
    X, y = digits(0, 1, each=20)
    with pytest.raises(UserError, match=words):
        classifier(**parameters).fit(X, y)


def test_the_recipe_is_laid_over_the_parameters() -> None:
    X, y = digits(0, 1, each=20)
    one = classifier(epochs=3, recipe={**QUICK, "train": {"epochs": 1}}).fit(X, y)
    assert one.results_["epochs"] == 1
    assert "epochs = 1" in one.recipe_
