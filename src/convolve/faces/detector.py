"""Training on boxes in scikit-learn's manner, by the same workflow as the command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Box, Boxes, Dataset, Sample
from convolve.data.decoding import BrokenImage, decode
from convolve.deploy.detection.model import load_detection_model
from convolve.errors import UserError
from convolve.faces.estimators import group_of, images_of, name_of, trained_run
from convolve.tasks.detect.results import mean_average_precision


class ObjectDetector(BaseEstimator):  # type: ignore[misc]
    """Finds objects in images.

    Images X are an array (N, H, W) or (N, H, W, C) of uint8, values 0..255, or a sequence of paths or of such images,
    which may differ in size. Targets y have one entry for each image: {"boxes": (M, 4), "labels": (M,)}, as torchvision
    has them; left, top, right, bottom in continuous pixels, and whole numbers, classes 0..K-1. An image may have none.

    `fit` sets no images aside for testing; some it needs itself, to choose between epochs (`data.validation`).

    Args:
        detect: what finds objects, see `convolve ladder detect`; "auto" = faster.
        network: see `convolve zoo`; "auto" = by the images.
        start: scratch, finetune or features; "auto" = by the weights at hand.
        epochs: passes over the training images; "auto" = by their number.
        seed: decides initial weights, order, augmentation and which images choose.
        budget: time for one `fit`, such as "10m"; "none" unless told, so that scores do not depend on the machine.
        classes: K names; None = "class 0", "class 1", ...
        recipe: further keys of a recipe, such as {"detect.side": 480}; they win.
        verbose: whether `fit` says what it chose, and why.

    Attributes:
        classes_: K names.
        model_: what predicts, also from files and large images (`DetectionModel.detect`).
        recipe_: the recipe that was followed, every choice made, as commented TOML.
        results_: the figures of the training; those under "best" chose the model, so they are no test.
    """

    def __init__(
        self,
        *,
        detect: str = "auto",
        network: str = "auto",
        start: str = "auto",
        epochs: int | str = "auto",
        seed: int = 0,
        budget: float | str = "none",
        classes: Sequence[str] | None = None,
        recipe: Mapping[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.detect = detect
        self.network = network
        self.start = start
        self.epochs = epochs
        self.seed = seed
        self.budget = budget
        self.classes = classes
        self.recipe = recipe
        self.verbose = verbose

    def fit(self, X: Any, y: Any, groups: ArrayLike | None = None) -> "ObjectDetector":  # noqa: N803
        """Train on images and their boxes.

        Args:
            X: N images, or their paths.
            y: their boxes.
            groups: (N,) images of one group (a site, a patient) train together or choose together; None stands alone.

        Raises:
            UserError: the images, the boxes or a parameter cannot be used.
        """
        images = images_of(X)
        group_names = [None] * len(images) if groups is None else list(map(group_of, np.asarray(groups)))
        if not len(images) == len(y) == len(group_names):
            raise UserError(
                f"X has {len(images)} images, y {len(y)} entries and groups {len(group_names)}",
                "Give one of each for every image.",
            )
        targets = [_boxes(row, image, one) for row, (image, one) in enumerate(zip(images, y, strict=True))]
        names = self._names(targets)
        samples = tuple(
            Sample(name_of(row, image), image, target, group=group)
            for row, (image, target, group) in enumerate(zip(images, targets, group_names, strict=True))
        )
        dataset = Dataset("X", "images and boxes given to fit", names, samples)
        mine = {name: getattr(self, name) for name in ("detect", "network", "start", "epochs", "seed", "budget")}
        with trained_run(dataset, mine, self.recipe, verbose=self.verbose) as run:
            self.model_ = load_detection_model(run.model)
            self.recipe_ = run.recipe.read_text(encoding="utf-8")
            self.results_ = run.read("results")
        self.classes_ = names
        return self

    def predict(self, X: Any, *, threshold: float | None = None) -> list[dict[str, Any]]:  # noqa: N803
        """For every image {"boxes": (M, 4), "labels": (M,), "scores": (M,)}, the most probable first.

        Args:
            X: images, or their paths.
            threshold: less probable boxes are left out; None = the one that was best on the images that chose.

        Raises:
            UserError: an image cannot be used.
        """
        check_is_fitted(self)
        least = self.model_.threshold if threshold is None else threshold
        return [
            {"boxes": one.corners, "labels": one.labels, "scores": one.probabilities}
            for one in self._detected(X, least)
        ]

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """mAP@.5: the mean over the classes of the average precision at an IoU of 0.5.

        Raises:
            UserError: an image or its boxes cannot be used.
        """
        check_is_fitted(self)
        images = images_of(X)
        if len(images) != len(y):
            raise UserError(f"X has {len(images)} images, y {len(y)} entries", "Give one of each for every image.")
        truths = [_boxes(row, image, one) for row, (image, one) in enumerate(zip(images, y, strict=True))]
        return mean_average_precision(truths, self._detected(images, 0.0), len(self.classes_))

    def save(self, path: str | Path) -> None:
        """Write the model to a file, for `convolve.load` and `convolve predict`.

        Raises:
            UserError: no space is left.
        """
        check_is_fitted(self)
        self.model_.save(Path(path))

    def _detected(self, given: Any, threshold: float) -> list[Detections]:
        found = []
        for row, image in enumerate(images_of(given)):
            try:
                found.append(self.model_.detect(image, threshold=threshold))
            except BrokenImage as error:
                raise UserError(f"{name_of(row, image)}: {error}", "Leave it out.") from error
        return found

    def _names(self, targets: Sequence[Boxes]) -> tuple[str, ...]:
        if not targets:
            raise UserError("there are no images", "Give some, with their boxes.")
        highest = max((one.index for target in targets for one in target.objects), default=-1)
        if highest < 0:
            raise UserError("y has not one box", "Give the boxes of the objects to be found.")
        names = tuple(self.classes) if self.classes is not None else tuple(f"class {n}" for n in range(highest + 1))
        if highest >= len(names):
            raise UserError(f"y has class {highest}, and there are {len(names)} names", "Classes are numbered from 0.")
        return names


def _boxes(row: int, image: Any, given: Any) -> Boxes:
    if not isinstance(given, Mapping) or not {"boxes", "labels"} <= given.keys():
        raise UserError(f"y[{row}] has no boxes and labels", 'Give {"boxes": (M, 4), "labels": (M,)}.')
    corners, labels = np.asarray(given["boxes"], np.float64).reshape(-1, 4), np.asarray(given["labels"]).reshape(-1)
    if len(corners) != len(labels) or (len(labels) and labels.dtype.kind not in "iu"):
        raise UserError(
            f"y[{row}] has {len(corners)} boxes and {len(labels)} labels ({labels.dtype})",
            "Every box has one label, a whole number.",
        )
    try:
        hw = decode(image, channels=3).shape[:2]
    except BrokenImage as error:
        raise UserError(f"{name_of(row, image)}: {error}", "Leave it out.") from error
    limits = np.array([hw[1], hw[0]] * 2)
    sound = np.isfinite(corners).all(axis=1) & (corners >= 0).all(axis=1) & (corners <= limits).all(axis=1)
    sound &= (corners[:, 2:] > corners[:, :2]).all(axis=1)
    if not sound.all():
        number = int(np.flatnonzero(~sound)[0])
        raise UserError(
            f"y[{row}]: box {number} is {corners[number].tolist()}, in an image of {hw[1]} x {hw[0]} pixels",
            "A box is left, top, right, bottom, within the image, right of left and below top.",
        )
    if len(labels) and labels.min() < 0:
        raise UserError(f"y[{row}] has class {labels.min()}", "Classes are numbered from 0.")
    objects = tuple(
        Box(int(label), (left, top, right, bottom))
        for label, (left, top, right, bottom) in zip(labels.tolist(), corners.tolist(), strict=True)
    )
    return Boxes((hw[0], hw[1]), objects)
