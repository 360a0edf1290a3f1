"""Training on masks in scikit-learn's manner, by the same workflow as the command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from convolve.data.dataset import IGNORE, Dataset, Mask, MaskCoding, Sample
from convolve.data.decoding import BrokenImage
from convolve.data.masks.palette import class_colours
from convolve.deploy.segmentation.maps import Segmentation
from convolve.deploy.segmentation.model import load_segmentation_model
from convolve.errors import UserError
from convolve.faces.estimators import group_of, images_of, name_of, trained_run
from convolve.tasks.metrics.confusion_matrix import confusion_matrix
from convolve.tasks.segment.scores import class_counts, mean_iou


class ImageSegmenter(BaseEstimator):  # type: ignore[misc]
    """Gives every pixel of images a class.

    Images X are an array (N, H, W) or (N, H, W, C) of uint8, values 0..255, or a sequence of paths or of such images,
    which may differ in size. Masks y are (N, H, W), or a sequence of (H, W), of whole numbers: classes 0..K-1, and 255
    for pixels that count nowhere.

    `fit` sets no images aside for testing; some it needs itself, to choose between epochs (`data.validation`).

    Args:
        segment: how scores become a map, see `convolve ladder segment`; "auto" = unet.
        network: see `convolve zoo`; "auto" = by the images.
        start: scratch, finetune or features; "auto" = by the weights at hand.
        epochs: passes over the training images; "auto" = by their number.
        seed: decides initial weights, order, augmentation and which images choose.
        budget: time for one `fit`, such as "10m"; "none" unless told, so that scores do not depend on the machine.
        classes: K names; None = "class 0", "class 1", ...
        recipe: further keys of a recipe, such as {"loss.class_weights": "median-frequency"}; they win.
        verbose: whether `fit` says what it chose, and why.

    Attributes:
        classes_: K names.
        model_: what predicts, also from files, with uncertainty (`SegmentationModel.segment`).
        recipe_: the recipe that was followed, every choice made, as commented TOML.
        results_: the figures of the training; those under "best" chose the model, so they are no test.
    """

    def __init__(
        self,
        *,
        segment: str = "auto",
        network: str = "auto",
        start: str = "auto",
        epochs: int | str = "auto",
        seed: int = 0,
        budget: float | str = "none",
        classes: Sequence[str] | None = None,
        recipe: Mapping[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        self.segment = segment
        self.network = network
        self.start = start
        self.epochs = epochs
        self.seed = seed
        self.budget = budget
        self.classes = classes
        self.recipe = recipe
        self.verbose = verbose

    def fit(self, X: Any, y: Any, groups: ArrayLike | None = None) -> "ImageSegmenter":  # noqa: N803
        """Train on images and their masks.

        Args:
            X: N images, or their paths.
            y: their masks.
            groups: (N,) images of one group (a site, a patient) train together or choose together; None stands alone.

        Raises:
            UserError: the images, the masks or a parameter cannot be used.
        """
        images, masks = images_of(X), [_mask(row, mask) for row, mask in enumerate(y)]
        group_names = [None] * len(images) if groups is None else list(map(group_of, np.asarray(groups)))
        if not len(images) == len(masks) == len(group_names):
            raise UserError(
                f"X has {len(images)} images, y {len(masks)} masks and groups {len(group_names)} entries",
                "Give one of each for every image.",
            )
        names = self._names(masks)
        coding = MaskCoding(
            "index", tuple((index,) for index in range(len(names))), (IGNORE,), class_colours(len(names))
        )
        samples = tuple(
            Sample(name_of(row, image), image, Mask(mask), group=group)
            for row, (image, mask, group) in enumerate(zip(images, masks, group_names, strict=True))
        )
        dataset = Dataset("X", "images and masks given to fit", names, samples, coding=coding)
        mine = {name: getattr(self, name) for name in ("segment", "network", "start", "epochs", "seed", "budget")}
        with trained_run(dataset, mine, self.recipe, verbose=self.verbose) as run:
            self.model_ = load_segmentation_model(run.model)
            self.recipe_ = run.recipe.read_text(encoding="utf-8")
            self.results_ = run.read("results")
        self.classes_ = names
        return self

    def predict(self, X: Any) -> list[NDArray[np.uint8]]:  # noqa: N803
        """For every image, (H, W) uint8: the most probable class of each pixel.

        Raises:
            UserError: an image cannot be used.
        """
        return [one.labels for one in self._segmented(X)]

    def predict_proba(self, X: Any) -> list[NDArray[np.float32]]:  # noqa: N803
        """For every image, (K, H, W) float32: the probability of every class at each pixel.

        Raises:
            UserError: an image cannot be used.
        """
        return [one.probabilities for one in self._segmented(X)]

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """The mean IoU of one confusion matrix over all pixels that have a class.

        Raises:
            UserError: an image or a mask cannot be used.
        """
        total = np.zeros((len(self.classes_),) * 2, np.int64)
        for row, (labels, given) in enumerate(zip(self.predict(X), y, strict=True)):
            mask = _mask(row, given)
            counted = mask != IGNORE
            truth = mask[counted].astype(np.int64)
            if truth.size and truth.max() >= len(self.classes_):
                raise UserError(f"y[{row}] has class {truth.max()}, and the model knows {len(self.classes_)}")
            total += confusion_matrix(truth, labels[counted].astype(np.int64), len(self.classes_))
        return float(np.nan_to_num(mean_iou(class_counts(total))))

    def save(self, path: str | Path) -> None:
        """Write the model to a file, for `convolve.load` and `convolve predict`.

        Raises:
            UserError: no space is left.
        """
        check_is_fitted(self)
        self.model_.save(Path(path))

    def _segmented(self, given: Any) -> list[Segmentation]:
        check_is_fitted(self)
        found = []
        for row, image in enumerate(images_of(given)):
            try:
                found.append(self.model_.segment(image, name=name_of(row, image)))
            except BrokenImage as error:
                raise UserError(f"{name_of(row, image)}: {error}", "Leave it out.") from error
        return found

    def _names(self, masks: Sequence[NDArray[np.uint8]]) -> tuple[str, ...]:
        if not masks:
            raise UserError("there are no images", "Give some, with their masks.")
        highest = max(({int(value) for mask in masks for value in np.unique(mask)} - {IGNORE}), default=-1)
        names = tuple(self.classes) if self.classes is not None else tuple(f"class {n}" for n in range(highest + 1))
        if len(names) < 2:
            raise UserError("y has one class only", "There must be two to tell apart, numbered from 0.")
        if highest >= len(names):
            raise UserError(
                f"y has class {highest}, and there are {len(names)} names",
                "Classes are numbered from 0; 255 is what counts nowhere.",
            )
        return names


def _mask(row: int, given: Any) -> NDArray[np.uint8]:
    mask = np.asarray(given)
    if mask.ndim != 2 or mask.dtype.kind not in "biu":
        raise UserError(
            f"y[{row}] is {mask.dtype} of shape {mask.shape}",
            "A mask is (H, W) whole numbers: the class of each pixel.",
        )
    if mask.size and (mask.min() < 0 or mask.max() > IGNORE):
        raise UserError(
            f"y[{row}] has values from {mask.min()} to {mask.max()}", "Classes are 0..253, and 255 = ignore."
        )
    return mask.astype(np.uint8)
