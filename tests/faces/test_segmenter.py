"""Training on masks in scikit-learn's manner."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import jaccard_score
from sklearn.utils import estimator_checks

from convolve import ImageSegmenter, UserError, load
from workflow.segment.scenes import CLASSES, SPLITS, VOID, drawn

QUICK = {
    "network.options": {"depth": 8, "width": 4},
    "network.weights": "none",
    "batch_size": 4,
    "lr": 0.01,
    "compute": {"precision": "float32", "memory_format": "contiguous"},
}


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def segmenter(**parameters: Any) -> ImageSegmenter:
    return ImageSegmenter(**{"network": "residual", "epochs": 1, "recipe": QUICK, **parameters})


def some(split: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    images, masks = zip(*(drawn(number) for number in SPLITS[split]), strict=True)
    return list(images), list(masks)


@pytest.fixture(scope="module")
def fitted() -> ImageSegmenter:
    images, masks = some("train")
    return segmenter(epochs=20, classes=CLASSES).fit(np.stack(images), np.stack(masks))


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
    ],
)
def test_scikit_learns_own_checks_that_need_no_images(check):
    check("ImageSegmenter", ImageSegmenter())


def test_the_score_is_scikit_learns_on_images_it_never_saw(fitted):
    images, masks = some("test")
    predicted = fitted.predict(images)
    truth, labels = (np.concatenate([one.ravel() for one in maps]) for maps in (masks, predicted))
    counted = truth != VOID
    expected = jaccard_score(truth[counted], labels[counted], average="macro")
    assert fitted.score(images, masks) == pytest.approx(expected, rel=1e-12)
    assert expected > 0.5


def test_maps_are_those_of_the_model_and_their_probabilities_sum_to_one(fitted):
    images, _ = some("test")
    for image, labels, probabilities in zip(images, fitted.predict(images), fitted.predict_proba(images), strict=True):
        assert (labels.shape, labels.dtype) == ((64, 80), np.uint8)
        assert probabilities.shape == (3, 64, 80)
        np.testing.assert_array_equal(labels, fitted.model_.segment(image).labels)
        np.testing.assert_array_equal(labels, probabilities.argmax(axis=0))
        np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    assert fitted.predict([]) == []


def test_images_of_several_sizes_and_paths_will_do(tmp_path):
    pairs = [drawn(number, hw=(40 + number, 56)) for number in range(6)]
    paths = [tmp_path / f"{row}.png" for row in range(6)]
    for path, (image, _) in zip(paths, pairs, strict=True):
        Image.fromarray(image).save(path)
    images, masks = [image for image, _ in pairs], [mask for _, mask in pairs]
    one = segmenter().fit(paths, masks)
    assert one.classes_ == ("class 0", "class 1", "class 2")
    for image, from_pixels, from_path in zip(images, one.predict(images), one.predict(paths), strict=True):
        assert from_pixels.shape == image.shape[:2]
        np.testing.assert_array_equal(from_pixels, from_path)


def test_the_same_seed_gives_the_same_weights_and_fit_leaves_parameters_alone():
    images, masks = some("train")
    before = [image.copy() for image in images]
    fits = [segmenter(seed=1), segmenter(seed=1)]
    parameters = fits[0].get_params()
    weights = [one.fit(images, masks).model_.network.state_dict() for one in fits]
    assert fits[0].get_params() == parameters
    assert all(np.array_equal(one, other) for one, other in zip(images, before, strict=True))
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    learned = vars(fits[0]).keys() - parameters.keys()
    assert learned == {"classes_", "model_", "recipe_", "results_"}
    assert not any(name.endswith("_") for name in vars(clone(fits[0])))
    assert "test" not in fits[0].results_
    assert fits[0].results_["train_images"] < 8


def test_a_saved_model_and_a_pickled_segmenter_predict_the_same(fitted, tmp_path):
    images, _ = some("test")
    fitted.save(tmp_path / "model.safetensors")
    saved = load(tmp_path / "model.safetensors")
    assert saved.classes == CLASSES
    expected = fitted.predict(images)
    copy = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    for image, labels, again in zip(images, expected, copy.predict(images), strict=True):
        np.testing.assert_array_equal(saved.segment(image).labels, labels)
        np.testing.assert_array_equal(again, labels)


def test_before_fit_it_says_so(tmp_path):
    with pytest.raises(NotFittedError):
        segmenter().predict(some("test")[0])
    with pytest.raises(NotFittedError):
        segmenter().save(tmp_path / "model.safetensors")


IMAGES, MASKS = np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8), np.uint8)
MASKS[:, :4] = 1


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        (IMAGES, MASKS[:3], "X has 4 images, y 3 masks"),
        (IMAGES, MASKS.astype(float), r"y\[0\] is float64 of shape \(8, 8\)\n.*whole numbers"),
        (IMAGES, MASKS[..., None], r"y\[0\] is uint8 of shape \(8, 8, 1\)"),
        (IMAGES, MASKS.astype(int) - 1, r"y\[0\] has values from -1 to 0"),
        (IMAGES, MASKS.astype(int) * 300, r"y\[0\] has values from 0 to 300"),
        (IMAGES, np.zeros_like(MASKS), "one class only"),
        (IMAGES, np.full_like(MASKS, VOID), "one class only"),
        (IMAGES, [], "X has 4 images, y 0 masks"),
        ([], [], "there are no images"),
        (IMAGES, [mask[:6] for mask in MASKS], "none of its images can be used|size|8 x 8"),
    ],
)
def test_what_are_no_masks_is_refused_with_what_to_do(X, y, words):
    with pytest.raises(UserError, match=words):
        segmenter().fit(X, y)


def test_names_must_be_as_many_as_the_classes():
    with pytest.raises(UserError, match="y has class 2, and there are 2 names"):
        segmenter(classes=("a", "b")).fit(*some("train"))


def test_masks_of_other_classes_cannot_be_scored(fitted):
    images, masks = some("test")
    with pytest.raises(UserError, match=r"y\[0\] has class 7, and the model knows 3"):
        fitted.score(images, [np.full_like(mask, 7) for mask in masks])
