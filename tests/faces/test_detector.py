"""Training on boxes in scikit-learn's manner."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks

from convolve import ObjectDetector, UserError, load
from workflow.detect.shapes import CLASSES, SPLITS, drawn

QUICK = {
    "network.options": {"depth": 8, "width": 8},
    "network.weights": "none",
    "detect.side": 128,
    "detect.options": {"width": 16, "head_width": 32},
    "batch_size": 4,
    "lr": 0.003,
    "compute": {"precision": "float32", "memory_format": "contiguous", "engine": "torch"},
}


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVOLVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def detector(**parameters: Any) -> ObjectDetector:
    return ObjectDetector(**{"network": "residual", "epochs": 1, "recipe": QUICK, **parameters})


def some(numbers: Any) -> tuple[list[np.ndarray], list[dict[str, np.ndarray]]]:
    images, boxes, labels = zip(*map(drawn, numbers), strict=True)
    return list(images), [{"boxes": b, "labels": n} for b, n in zip(boxes, labels, strict=True)]


@pytest.fixture(scope="module")
def fitted() -> ObjectDetector:
    return detector(epochs=6, classes=CLASSES).fit(*some(range(16)))


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
    check("ObjectDetector", ObjectDetector())


def test_the_score_is_that_of_pycocotools(fitted):
    metrics = pytest.importorskip("torchmetrics.detection")
    torch = pytest.importorskip("torch")
    pytest.importorskip("pycocotools")
    images, truths = some(SPLITS["test"])
    found = fitted.predict(images, threshold=0.0)

    def tensors(one):
        return {name: torch.as_tensor(np.asarray(values)) for name, values in one.items()}

    metric = metrics.MeanAveragePrecision(iou_thresholds=[0.5], max_detection_thresholds=[1, 10, 1000])
    metric.update([tensors(one) for one in found], [tensors(one) for one in truths])
    expected = float(metric.compute()["map_50"])
    assert fitted.score(images, truths) == pytest.approx(expected, abs=1e-6)
    assert expected > 0.5


def test_boxes_are_the_models_from_its_threshold_on(fitted):
    images, _ = some(SPLITS["test"])
    for image, found in zip(images, fitted.predict(images), strict=True):
        said = fitted.model_.detect(image, threshold=fitted.model_.threshold)
        np.testing.assert_array_equal(found["boxes"], said.corners)
        assert (np.diff(found["scores"]) <= 0).all()
        assert (found["scores"] >= fitted.model_.threshold).all()
    assert fitted.predict([]) == []


def test_a_saved_model_predicts_the_same_and_a_clone_knows_nothing(fitted, tmp_path):
    images, _ = some(SPLITS["test"])
    fitted.save(tmp_path / "model.safetensors")
    saved = load(tmp_path / "model.safetensors")
    assert saved.classes == CLASSES
    for image, found in zip(images, fitted.predict(images, threshold=0.1), strict=True):
        np.testing.assert_array_equal(saved.detect(image, threshold=0.1).corners, found["boxes"])
    assert not any(name.endswith("_") for name in vars(clone(fitted)))


def test_before_fit_it_says_so(tmp_path):
    with pytest.raises(NotFittedError):
        detector().predict(some([0])[0])
    with pytest.raises(NotFittedError):
        detector().save(tmp_path / "model.safetensors")


IMAGES = np.zeros((2, 8, 8), np.uint8)
GOOD = {"boxes": [[1, 1, 4, 4]], "labels": [0]}


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        (IMAGES, [GOOD], "X has 2 images, y 1 entries"),
        (IMAGES, [GOOD, {"boxes": []}], r"y\[1\] has no boxes and labels"),
        (IMAGES, [GOOD, {**GOOD, "labels": [0, 1]}], r"y\[1\] has 1 boxes and 2 labels"),
        (IMAGES, [GOOD, {**GOOD, "labels": [0.5]}], "whole number"),
        (IMAGES, [GOOD, {**GOOD, "labels": [-1]}], r"y\[1\] has class -1"),
        (IMAGES, [GOOD, {**GOOD, "boxes": [[1, 1, 9, 4]]}], r"y\[1\]: box 0 .* 8 x 8"),
        (IMAGES, [GOOD, {**GOOD, "boxes": [[4, 1, 1, 4]]}], r"y\[1\]: box 0"),
        (IMAGES, [GOOD, {**GOOD, "boxes": [[1, 1, float("nan"), 4]]}], r"y\[1\]: box 0"),
        (IMAGES, [{"boxes": [], "labels": []}] * 2, "y has not one box"),
        ([], [], "there are no images"),
    ],
)
def test_what_are_no_boxes_is_refused_with_what_to_do(X, y, words):
    with pytest.raises(UserError, match=words):
        detector().fit(X, y)


def test_names_must_be_as_many_as_the_classes():
    with pytest.raises(UserError, match="y has class 1, and there are 1 names"):
        detector(classes=("a",)).fit(*some(range(4)))


def test_scoring_takes_as_many_boxes_as_images(fitted):
    images, truths = some([0, 1])
    with pytest.raises(UserError, match="X has 2 images, y 1"):
        fitted.score(images, truths[:1])
